// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig doctor`: what is there, what is missing, and what to do. It only looks: nothing is got, and nothing is made.

use std::path::PathBuf;

use super::{args::Doctor, failure::Failure};
use ::run::{Wanted, accelerator, host_packages, kernels, qemu_version};
use base::{Arch, fault::Exit, ui::Ui};
use supply::{cache::Cache, confined::Reach, host, qemu::Capabilities};

/// Looks at one thing; `Err` holds what to do about it.
type Look = Result<String, String>;

pub(super) fn doctor(args: &Doctor, ui: &Ui) -> Result<Exit, Failure> {
    let (cache, place) = match Cache::look(ui) {
        Ok(cache) => (Some(cache.clone()), room(&cache)),
        Err(error) => (None, Err(chain(error))),
    };
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
        ("cache", place),
        ("packages", packages(args)),
        ("QEMU x86_64", x86_qemu(args)),
        ("accelerator", accelerated(args)),
        ("QEMU s390x", s390_qemu(args, cache.as_ref())),
        ("builds", Ok(format!("those of kernels {}", Reach::here()))),
        ("results", results(args)),
    ];
    let said = cache.as_ref().map(Cache::said_today).transpose();
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
    // What runs said once a day, such as what the mirror lacks.
    if let Some(said) = said.map_err(Failure::of)? {
        said.iter().for_each(|line| ui.out(&format!("today    {line}")));
    }
    Ok(if missing { Exit::Broken } else { Exit::Pass })
}

/// The QEMU for x86_64, the user's or the distribution's.
fn x86_binary(args: &Doctor) -> PathBuf {
    let named = args.places.qemus();
    named
        .get(&Arch::X86_64)
        .cloned()
        .unwrap_or_else(|| Arch::X86_64.qemu_binary().into())
}

/// Whether the host runs guests of its own kind by itself; those of s390x never are.
fn accelerated(args: &Doctor) -> Look {
    accelerator(&x86_binary(args)).map_err(chain)
}

fn x86_qemu(args: &Doctor) -> Look {
    let binary = x86_binary(args);
    qemu_version(&binary).map_err(|error| match host::in_path(Arch::X86_64.qemu_binary()) {
        None if binary.as_os_str() == Arch::X86_64.qemu_binary() => "not installed".to_owned(),
        _ => chain(error),
    })
}

fn s390_qemu(args: &Doctor, cache: Option<&Cache>) -> Look {
    let binary = match args.places.qemus().remove(&Arch::S390x) {
        Some(path) => path,
        None => cache
            .and_then(built)
            .ok_or("memrig's own QEMU is not built yet; `memrig setup` builds it")?,
    };
    let found = Capabilities::of(&binary).map_err(chain)?;
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
fn built(cache: &Cache) -> Option<PathBuf> {
    let entries = fs_err::read_dir(cache.root().join("qemu")).ok()?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().join(Arch::S390x.qemu_binary()))
        .find(|path| path.is_file())
}

/// The cache, and how much fits into it.
fn room(cache: &Cache) -> Look {
    let place = cache.root().display();
    let free = host::writable(cache.root()).and_then(|there| host::free_space(&there));
    match free {
        Ok(free) => Ok(format!("{place}, {} MiB free", free.as_bytes() >> 20)),
        Err(error) => Err(format!(
            "{place}: {error} (another place can be named by MEMRIG_CACHE)"
        )),
    }
}

/// Packages that the default run needs with the QEMUs that are named.
fn packages(args: &Doctor) -> Look {
    let wanted = Wanted {
        kernels: kernels(&[], &[]).map_err(chain)?,
        qemus: args.places.qemus(),
        refresh: false,
    };
    match host::missing_packages(&host_packages(&wanted)) {
        Ok(missing) if missing.is_empty() => Ok("all installed".to_owned()),
        Ok(missing) => Err(format!(
            "{}; run: {}; `memrig setup` does it itself as root, and where sudo asks nothing",
            missing.join(" "),
            host::install_command(&missing)
        )),
        Err(error) => Err(chain(error)),
    }
}

/// An error with its causes, in one line.
fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

fn results(args: &Doctor) -> Look {
    let folder = &args.places.results;
    match host::writable(folder) {
        Ok(_) => Ok(folder.display().to_string()),
        Err(error) => Err(format!("{error}; name another with --results")),
    }
}
