// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig cost`: what an operation on a memory block costs, in instructions.

use std::collections::BTreeSet;

use super::{
    args::{Cost, ListFormat},
    failure::Failure,
    places,
};
use ::compare::COST_SLACK;
use ::run::{Selected, Wanted, costs, kernels};
use base::{fault::Exit, ui::Ui};
use record::CostRecord;

pub(super) fn cost(args: &Cost, ui: &Ui) -> Result<Exit, Failure> {
    let results = places::results(&args.places.results)?;
    let wanted = Wanted {
        kernels: kernels(&args.kernels, &args.arches).map_err(Failure::of)?,
        qemus: args.places.qemus(),
        refresh: false,
    };
    let selected = Selected::kernels(&wanted, ui).map_err(Failure::of)?;
    let measured = costs(&selected, &results, args.jobs, args.repetitions, ui).map_err(Failure::of)?;
    if args.format == ListFormat::Json {
        ui.out(&serde_json::to_string_pretty(&measured.records).map_err(Failure::broken)?);
    } else {
        let tables: Vec<String> = measured.records.iter().map(table).collect();
        ui.out(tables.join("\n").trim_end());
        ui.out(&caveats(&measured.records));
        ui.out(&format!("\nrecord: {}", measured.folder));
    }
    for missing in &measured.missing {
        ui.line(&format!("not counted: {missing}"));
    }
    Ok(measured.exit)
}

/// What the numbers do not say, for who compares them.
fn caveats(records: &[CostRecord]) -> String {
    let methods: BTreeSet<&str> = records.iter().map(|record| record.method.caveat()).collect();
    methods
        .into_iter()
        .map(|caveat| format!("\n{caveat}\nboots of one kernel may be up to {COST_SLACK} instructions apart"))
        .collect()
}

/// The costs of one kernel as a small table.
fn table(record: &CostRecord) -> String {
    let mut text = format!(
        "{} {} {} {} (by {}, QEMU {})\n",
        record.arch, record.kernel, record.release, record.variant, record.method, record.qemu
    );
    let mut row = |cells: [&str; 5]| {
        let [name, cost, mode, seen, spread] = cells;
        let line = format!("  {name:9} {cost:>12} {mode:>12} {seen:>9} {spread:>10}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row(["operation", "instructions", "most seen", "times", "spread"]);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for operation in &record.operations {
        row([
            &operation.name,
            &number(operation.cost()),
            &number(operation.mode()),
            &format!("{} of {}", operation.agreeing(), operation.samples.len()),
            &operation.spread().to_string(),
        ]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use record::{CostMethod, OperationCost};

    #[test]
    fn a_table_has_what_is_compared_and_how_far_samples_lie_apart() {
        let operation = |name: &str, samples: &[u64]| OperationCost {
            name: name.to_owned(),
            samples: samples.to_vec(),
            steady: samples.first().map(|sample| sample - 3),
        };
        let record = CostRecord {
            kernel: "debian:trixie".to_owned(),
            release: "6.12.107+deb13-amd64".to_owned(),
            arch: Arch::X86_64,
            variant: "memmap_on_memory=off".to_owned(),
            method: CostMethod::Plugin,
            qemu: "7.2.22".to_owned(),
            operations: vec![
                operation("online", &[46_703, 53_709, 46_703]),
                operation("offline", &[50_351, 50_356, 50_356]),
            ],
        };
        insta::assert_snapshot!(table(&record), @r"
        x86_64 debian:trixie 6.12.107+deb13-amd64 memmap_on_memory=off (by plugin-2, QEMU 7.2.22)
          operation instructions    most seen     times     spread
          online           46700        46703    2 of 3       7006
          offline          50348        50356    2 of 3          5
        ");
        assert_eq!(
            caveats(&[record.clone(), record]),
            "\ninstructions of interrupts, other tasks, the scheduler, the slab allocator, RCU and random numbers are not counted\n\
             boots of one kernel may be up to 8 instructions apart"
        );
        assert_eq!(caveats(&[]), "");
    }
}
