// SPDX-License-Identifier: MIT OR Apache-2.0
//! Refusing notifications by the kernel's own error injection.

use super::{bench::Bench, guest::UnderTest, trouble::Trouble};
use memory::Op;
use suite::Veto;

/// Folder of the notifier error injection (lib/notifier-error-inject.c).
const INJECTION: &str = "/sys/kernel/debug/notifier-error-inject/memory/actions";

/// The module that has it.
const MODULE: &str = "memory-notifier-error-inject";

/// What a script ends with where the guest has no such module.
const ABSENT: u8 = 3;

impl<G: UnderTest> Bench<'_, G> {
    /// Lets the kernel's error injection refuse a notification, or ends that.
    pub(super) async fn veto(&mut self, veto: &Veto) -> Result<Op, Trouble> {
        match veto {
            Veto::Off => {
                let script = format!("for f in {INJECTION}/*/error; do echo 0 > $f || exit 1; done");
                self.exec_ok("ending the error injection", &script).await?;
                self.vetoed.clear();
            }
            Veto::On {
                notifier,
                errno,
                priority,
            } => {
                if self.injection.is_none() {
                    self.load_injection(*priority).await?;
                    self.injection = Some(*priority);
                }
                let path = format!("{INJECTION}/{notifier}/error");
                let value = format!("-{}", errno.number());
                if let Err(got) = self.write(&path, &value).await? {
                    return Err(Trouble::bench(format!(
                        "writing {value} to {path} failed with {got}"
                    )));
                }
                self.vetoed.push(*errno);
            }
        }
        Ok(Op::Nothing)
    }

    /// Loads the kernel's error injection, unless it is built in. An image without it is that of a kernel whose modules nobody named, or which has
    /// none such.
    async fn load_injection(&self, priority: i32) -> Result<(), Trouble> {
        let there = format!(
            "[ -d {INJECTION} ] || grep -qs '{MODULE}.ko:' /lib/modules/$(uname -r)/modules.dep || exit {ABSENT}"
        );
        let load =
            format!("[ -d {INJECTION} ] || modprobe {MODULE} priority={priority} && [ -d {INJECTION} ]");
        if self.exec(&there).await?.code == ABSENT {
            return Err(Trouble::Lacking {
                message: format!(
                    "needs the module {MODULE}, and the guest's image has none for this kernel: to a kernel out of files, name its modules \
                     (image:PATH,modules=DIRECTORY)"
                ),
            });
        }
        self.exec_ok(&format!("loading {MODULE}"), &load).await.map(drop)
    }
}
