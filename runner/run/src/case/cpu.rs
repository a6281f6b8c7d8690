// SPDX-License-Identifier: MIT OR Apache-2.0
//! Switching CPUs of the guest.

use super::{bench::Bench, guest::UnderTest, trouble::Trouble};
use memory::Op;
use suite::Cpu;

impl<G: UnderTest> Bench<'_, G> {
    /// Switches a CPU. No memory comes or goes by it.
    pub(super) async fn cpu(&mut self, cpu: &Cpu) -> Result<Op, Trouble> {
        let path = format!("/sys/devices/system/cpu/cpu{}/online", cpu.number);
        let value = if cpu.on { "1" } else { "0" };
        self.write_expecting(&path, value, cpu.fails).await?;
        Ok(Op::Nothing)
    }
}
