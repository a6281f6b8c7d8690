// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a QEMU binary can do, asked of the binary.

use std::{path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    end::{End, Wait},
    launch::{START_LIMIT, io_error, listen, tail_of},
    running::MachineError,
    spec::Qemu,
};
use crate::scratch::Scratch;
use base::{Arch, exec::Command};
use format::qmp::{Client, QmpError};

impl Qemu {
    /// Starts a binary without a machine and asks it what it can do. Takes a fraction of a second.
    ///
    /// # Errors
    /// If it does not start, does not speak QMP, or emulates another architecture; its own words are in the error.
    pub async fn ask(
        binary: impl Into<PathBuf>,
        arch: Arch,
        firmware: Option<PathBuf>,
    ) -> Result<Self, MachineError> {
        let binary = binary.into();
        let folder = Scratch::new().map_err(io_error("a folder for sockets"))?;
        let socket = folder.path().join("qmp");
        let log = folder.path().join("log");
        let listener = listen(&socket).map_err(io_error("the socket of the monitor"))?;
        let file = fs_err::File::create(&log).map_err(io_error("the log of QEMU"))?;
        let child = Command::new(&binary)
            .args([
                "-machine",
                "none",
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
            ])
            .args([
                "-chardev",
                &format!("socket,id=monitor,path={}", socket.display()),
            ])
            .args(["-mon", "chardev=monitor,mode=control"])
            .log(file.file())
            .map_err(io_error("the log of QEMU"))?
            .spawn()?;
        let asked = async {
            let (stream, _) = listener.accept().await?;
            let (reader, writer) = stream.into_split();
            let client = Client::start(reader, writer, Arc::new(|_, _| {})).await?;
            let target = client.execute_raw("query-target", json!({})).await?;
            let sandbox = json!({"option": "sandbox"});
            let sandbox = client.execute_raw("query-command-line-options", sandbox).await;
            let backend = json!({"typename": "memory-backend-file"});
            let backend = client.execute_raw("qom-list-properties", backend).await?;
            Ok::<_, QmpError>((target, sandbox, backend))
        };
        let wait = tokio::select! {
            biased;
            answers = timeout(START_LIMIT, asked) => match answers {
                Ok(answers) => {
                    let (target, sandbox, backend) = answers?;
                    let emulates = target["arch"].as_str().unwrap_or("something unknown");
                    if emulates != arch.to_string() {
                        return Err(MachineError::Other {
                            binary,
                            arch,
                            emulates: emulates.to_owned(),
                        });
                    }
                    let has_rom = |list: &Vec<Value>| list.iter().any(|property| property["name"] == "rom");
                    return Ok(Self {
                        binary,
                        firmware,
                        // One that was built without it refuses the question.
                        sandbox: match sandbox {
                            Ok(options) => options.as_array().is_some_and(|options| !options.is_empty()),
                            Err(QmpError::Refused { .. }) => false,
                            Err(error) => return Err(error.into()),
                        },
                        rom_off: backend.as_array().is_some_and(has_rom),
                    });
                }
                Err(_) => Wait::Deadline(START_LIMIT),
            },
            status = child.wait() => Wait::Ended(End::QemuExited { status, stderr: tail_of(&log, 0) }),
        };
        Err(MachineError::NoAnswer { binary, wait })
    }
}
