// SPDX-License-Identifier: MIT OR Apache-2.0
//! A prompt in the guest of a case.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use camino::Utf8PathBuf;

use super::{
    case::chain,
    inside,
    plan::Job,
    prepare::Rig,
    schedule::Stop,
    stage::{Origin, Stage},
};
use crate::{
    base::ui::Ui,
    record::{Journal, RunFolder},
    rig::scratch::Scratch,
};

/// How long a line may take in the guest.
const LINE_LIMIT: Duration = Duration::from_secs(3600);

/// Boots the guest of a job and runs lines of stdin in it, each in a shell of its own, until there are no more.
///
/// # Errors
/// Why there is no guest, or not any more.
pub async fn open_shell(job: &Job, rig: Rig, ui: &Ui) -> Result<(), String> {
    let scratch = Scratch::new().map_err(|error| error.to_string())?;
    let results = Utf8PathBuf::from_path_buf(scratch.path().to_owned())
        .map_err(|path| format!("{path:?} is no UTF-8"))?;
    let folder = RunFolder::create(&results).map_err(|error| chain(&error))?;
    let journal = Arc::new(Journal::create(folder.path()).map_err(|error| chain(&error))?);
    let stop = Stop::default();
    let case_folder = folder.case(&job.key, 1).map_err(|error| chain(&error))?;
    let stage = Stage::new(rig, folder, journal, stop, false, ui.clone())?;
    ui.line(&format!(
        "booting {} for {} {}",
        job.key.kernel, job.key.suite, job.key.case
    ));
    let (guest, _) = stage
        .guest(job, &case_folder, Origin::Boot)
        .await
        .map_err(|trouble| trouble.message().to_owned())?;
    ui.line(&format!(
        "guest is up; its console is in {}; end with ^D",
        case_folder.console_log()
    ));
    ui.line(&stage.by_hand(&guest));
    while let Some(line) = tokio::task::spawn_blocking(prompt)
        .await
        .map_err(|error| error.to_string())?
    {
        let output = inside::exec(&guest, &line, LINE_LIMIT)
            .await
            .map_err(|trouble| trouble.message().to_owned())?;
        let text = output.text() + &output.error_text();
        if !text.trim_end().is_empty() {
            ui.out(text.trim_end());
        }
        if output.code != 0 {
            ui.line(&format!("exit code {}", output.code));
        }
    }
    guest.stop().await;
    Ok(())
}

/// The next line of stdin; `None` at its end.
fn prompt() -> Option<String> {
    if io::stdin().is_terminal() {
        let mut err = io::stderr();
        // Without a terminal to prompt on, the line is read all the same.
        let _ = write!(err, "guest# ").and_then(|()| err.flush());
    }
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line),
    }
}
