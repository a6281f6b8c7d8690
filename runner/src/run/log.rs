// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel's log says about a case. Pure.

use super::trouble::Trouble;
use crate::{format::klog, record::FindingRecord, rig::guest::Output, suite::Case};

/// What a log shows that the case does not allow.
pub(super) fn findings(log: &str, since_step: Option<u32>, case: &Case) -> Vec<FindingRecord> {
    klog::classify(log.as_bytes())
        .into_iter()
        .filter(|finding| {
            let allowed = |line: &String| {
                case.allow_log
                    .iter()
                    .any(|pattern| pattern.regex().is_match(line))
            };
            !finding.lines.iter().any(allowed)
        })
        .map(|finding| FindingRecord {
            kind: finding.kind.to_string(),
            title: finding.title,
            place: finding.place,
            lines: finding.lines,
            since_step,
        })
        .collect()
}

/// The kernel's log as the guest tells it. A guest that does not answer any more did not pass, whatever its steps did.
pub(super) fn whole_log(answer: Result<Output, Trouble>) -> Result<String, Trouble> {
    match answer {
        Ok(output) if output.code == 0 => Ok(output.text()),
        Ok(output) => Err(Trouble::bench(format!(
            "reading the kernel log ended with {}",
            output.code
        ))),
        Err(trouble) => Err(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::Verdict;

    #[test]
    fn a_guest_that_does_not_tell_its_log_did_not_pass() {
        let said = |code| {
            Ok(Output {
                stdout: b"log".to_vec(),
                stderr: Vec::new(),
                code,
            })
        };
        assert_eq!(whole_log(said(0)).as_deref(), Ok("log"));
        assert_eq!(whole_log(said(1)).unwrap_err().verdict(), Verdict::Error);
        let silent = Trouble::kernel("no answer");
        assert_eq!(whole_log(Err(silent.clone())), Err(silent));
    }
}
