// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig doctor`: what is there, what is missing, and what to do.

use super::{args::Doctor, failure::Failure};
use crate::{
    base::{Arch, fault::Exit, ui::Ui},
    rig::{
        cache::Cache,
        host,
        qemu::{self, Capabilities},
    },
    run::qemu_version,
};

/// Looks at one thing; `Err` holds what to do about it.
type Look = Result<String, String>;

pub(super) fn doctor(args: &Doctor, ui: &Ui) -> Result<Exit, Failure> {
    let cache = Cache::open(ui).map_err(Failure::broken)?;
    let host = host::facts().map_err(Failure::broken)?;
    let looks: Vec<(&str, Look)> = vec![
        (
            "host",
            Ok(format!(
                "{} {}, {} CPUs, {} MiB",
                host.system,
                host.machine,
                host.cpus,
                host.memory.as_bytes() >> 20
            )),
        ),
        ("cache", Ok(cache.root().display().to_string())),
        ("QEMU x86_64", x86_qemu(args)),
        ("QEMU s390x", s390_qemu(args, &cache)),
        ("packages to build QEMU", build_packages()),
        ("results", results(args)),
    ];
    let mut missing = false;
    for (what, look) in looks {
        match look {
            Ok(seen) => ui.out(&format!("ok       {what}: {seen}")),
            Err(advice) => {
                missing = true;
                ui.out(&format!("missing  {what}: {advice}"));
            }
        }
    }
    Ok(if missing { Exit::Broken } else { Exit::Pass })
}

fn x86_qemu(args: &Doctor) -> Look {
    let named = args
        .places
        .qemus
        .iter()
        .find(|(arch, _)| *arch == Arch::X86_64)
        .map(|(_, path)| path.clone());
    let binary = named.unwrap_or_else(|| Arch::X86_64.qemu_binary().into());
    qemu_version(&binary).map_err(|error| format!("{error}; `memrig setup` installs qemu-system-x86"))
}

fn s390_qemu(args: &Doctor, cache: &Cache) -> Look {
    let named = args
        .places
        .qemus
        .iter()
        .find(|(arch, _)| *arch == Arch::S390x)
        .map(|(_, path)| path.clone());
    let binary = match named {
        Some(path) => path,
        None => built(cache).ok_or("memrig's own QEMU is not built yet; `memrig setup` builds it")?,
    };
    let found = Capabilities::of(&binary).map_err(|error| error.to_string())?;
    let lacks: Vec<&str> = [
        (found.standby, "standby memory"),
        (found.edat1, "EDAT-1"),
        (found.refuse_at, "refused assigns"),
        (found.commands, "the list of storage commands"),
    ]
    .iter()
    .filter(|(there, _)| !there)
    .map(|(_, what)| *what)
    .collect();
    if lacks.is_empty() {
        Ok(format!("{} with standby memory", found.version))
    } else {
        Err(format!(
            "{} lacks {}; leave out --qemu to use memrig's own",
            found.version,
            lacks.join(", ")
        ))
    }
}

/// The newest QEMU of ours in the cache.
fn built(cache: &Cache) -> Option<std::path::PathBuf> {
    let dir = cache.dir("qemu").ok()?;
    let entries = fs_err::read_dir(dir).ok()?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().join(Arch::S390x.qemu_binary()))
        .find(|path| path.is_file())
}

fn build_packages() -> Look {
    match host::missing_packages(qemu::HOST_PACKAGES) {
        Ok(missing) if missing.is_empty() => Ok("all there".to_owned()),
        Ok(missing) => Err(format!(
            "apt-get install {}; `memrig setup` does it where it may",
            missing.join(" ")
        )),
        Err(error) => Err(error.to_string()),
    }
}

fn results(args: &Doctor) -> Look {
    let folder = &args.places.results;
    fs_err::create_dir_all(folder).map_err(|error| format!("{error}; name another with --results"))?;
    match tempfile::Builder::new().prefix(".probe-").tempfile_in(folder) {
        Ok(_) => Ok(folder.display().to_string()),
        Err(error) => Err(format!("{error}; name another with --results")),
    }
}
