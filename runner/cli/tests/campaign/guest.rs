// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest does: it dies, hangs, and says what nobody should print.

use super::{run::Ended, scene::Scene};

/// A case in whose second step the guest runs a script.
fn suite(script: &str, more: &str) -> String {
    let script: String = script
        .lines()
        .map(|line| format!("            {line}\n"))
        .collect();
    format!(
        "suite: own\ncases:\n  - id: F01\n    name: the guest does something in a step\n{more}    steps:\n      - add: {{ as: b }}\n      \
         - guest:\n          run: |\n{script}      - online: {{ block: b, zone: movable }}\n"
    )
}

/// Runs a case in whose second step the guest runs a script, or nothing of it if the harm is left out.
fn ran(scene: &mut Scene, script: &str, more: &str) -> Ended {
    let script = scene.harm(|_| script).unwrap_or("true");
    let command = scene.one_guest(&suite(script, more));
    let run = scene.start(command);
    scene.end(run)
}

pub(super) fn panics(scene: &mut Scene) {
    let ended = ran(scene, "echo c > /proc/sysrq-trigger", "");
    scene.is_fail(&ended, &["panic"]);
}

/// The words of an oops, since no kernel of Debian's has a way to one that is no panic.
pub(super) fn oopses(scene: &mut Scene) {
    let ended = ran(
        scene,
        "echo 'BUG: unable to handle page fault for address: ffff888000000000' > /dev/kmsg",
        "",
    );
    scene.is_fail(&ended, &["unable to handle page fault"]);
}

pub(super) fn resets_itself(scene: &mut Scene) {
    let ended = ran(scene, "echo b > /proc/sysrq-trigger\nsleep 60", "");
    scene.is_fail(&ended, &["reset", "reboot", "ended"]);
}

pub(super) fn powers_itself_off(scene: &mut Scene) {
    let ended = ran(scene, "echo o > /proc/sysrq-trigger\nsleep 60", "");
    scene.is_fail(&ended, &["power", "off", "ended"]);
}

/// Its first program waits for a person.
pub(super) fn hangs_at_boot(scene: &mut Scene) {
    let more = scene.words_of_harm("    cmdline: [rdinit=/bin/cat]\n");
    let command = scene.one_guest(&suite("true", &more));
    let run = scene.start(command);
    let ended = scene.end(run);
    scene.is_fail(&ended, &["hang", "hung", "silent", "boot"]);
}

pub(super) fn a_step_has_no_end(scene: &mut Scene) {
    let ended = ran(scene, "while :; do :; done", "    time_limit: 6s\n");
    scene.is_fail(&ended, &["hang", "in time", "limit"]);
}

/// The shell behind the line dies in the middle of an answer.
pub(super) fn cuts_the_line(scene: &mut Scene) {
    let ended = ran(
        scene,
        "echo half of an answ\nkill -9 $$\nsleep 1",
        "    time_limit: 10s\n",
    );
    scene.accuses_nobody(&ended);
}

/// Something writes into the line, beside the answer that goes over it.
pub(super) fn writes_into_the_line(scene: &mut Scene) {
    let script = "port=$(ls /dev/vport*p1 | head -n 1)\nhead -c 20000 /dev/urandom > $port 2>/dev/null\nhead -c 20000 /dev/urandom";
    let ended = ran(scene, script, "    time_limit: 20s\n");
    scene.accuses_nobody(&ended);
    let clean = is_clean(&ended);
    if !clean {
        scene.wrong("a control character reached the terminal");
    }
}

/// What the OOM killer takes first in a small guest.
pub(super) fn kills_sshd(scene: &mut Scene) {
    let ended = ran(scene, "kill -9 $(pidof dropbear)", "");
    scene.accuses_nobody(&ended);
    // The line is there still.
    scene.passes(&ended);
}

/// No way leads into the guest any more, and its kernel lives.
pub(super) fn kills_sshd_and_the_line(scene: &mut Scene) {
    let ended = ran(
        scene,
        "kill -9 $(pidof dropbear)\nkill -9 $$\nsleep 1",
        "    time_limit: 10s\n",
    );
    // Whether its kernel or a program is to blame is not known.
    scene.is_error(&ended, &["connection", "line", "SSH", "answer"]);
}

pub(super) fn floods_the_console(scene: &mut Scene) {
    let ended = ran(
        scene,
        "while :; do head -c 1000000 /dev/zero | tr '\\0' x > /dev/console; done",
        "    time_limit: 30min\n",
    );
    scene.is_fail(&ended, &["flood", "console"]);
}

/// Sequences that move the cursor, rename the window and answer for the user, on the console, in the log and in what a step prints.
pub(super) fn has_hostile_bytes(scene: &mut Scene) {
    let script = "bad=$(printf '\\033[2J\\033]0;mine\\007\\033[6n\\302\\233\\342\\200\\256\\r')\n\
                  printf '%s\\n' \"$bad\" > /dev/console\nprintf '%s\\n' \"$bad\" > /dev/kmsg\nprintf '%s\\n' \"$bad\"\nexit 3";
    let ended = ran(scene, script, "");
    scene.is_fail(&ended, &["ended with 3"]);
    let clean = is_clean(&ended);
    if !clean {
        scene.wrong("a control character reached the terminal");
    }
}

/// The last that it says is a part of a character, and then its kernel dies.
pub(super) fn ends_in_a_character(scene: &mut Scene) {
    let script = "printf 'half: \\342\\202' > /dev/console\necho c > /proc/sysrq-trigger";
    let ended = ran(scene, script, "");
    scene.is_fail(&ended, &["panic"]);
}

/// A step prints much more than anybody reads.
pub(super) fn prints_without_end(scene: &mut Scene) {
    let ended = ran(
        scene,
        "yes 0123456789 | head -c 300000000",
        "    time_limit: 5min\n",
    );
    if ended.code() == Some(0) && ended.cases().iter().any(|case| case.steps.len() < 3) {
        scene.wrong("it passed without its last step");
    }
    if scene.harm(|_| ()).is_some() && ended.cases().iter().all(|case| case.reason.is_none()) {
        scene.wrong(format!(
            "300 MB of output are taken without a word: {}",
            ended.said()
        ));
    }
}

/// Whether nothing that memrig printed moves a cursor.
fn is_clean(ended: &Ended) -> bool {
    let text = ended.said();
    text.chars().all(|character| {
        character == '\n' || !(character.is_control() || matches!(character, '\u{202a}'..='\u{202e}'))
    })
}
