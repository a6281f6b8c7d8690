// SPDX-License-Identifier: MIT OR Apache-2.0
//! The events that say how a guest ended.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    console::Console,
    end::{End, Ending, PanicSource},
};
use format::qmp::{Client, Event, Events, NoEvent};

/// How long the console may take to say what the event does not: it has its own socket.
const CONSOLE_LAG: Duration = Duration::from_millis(500);

/// Follows the events until the connection ends, and sets the end that they tell.
pub(super) async fn watch_events(qmp: Client, mut events: Events, console: Console, ending: Ending) {
    loop {
        let event = match events.next().await {
            Ok(event) => event,
            Err(NoEvent::Missed(_)) => continue,
            Err(NoEvent::Closed) => return,
        };
        match event.name.as_str() {
            "GUEST_PANICKED" => {
                // On s390x a panic ends in a disabled wait, and only the console tells it from any other.
                tokio::select! {
                    _ = ending.wait() => {}
                    () = console.silence(CONSOLE_LAG / 5, CONSOLE_LAG) => {}
                }
                ending.set(end_of_panic(&event));
            }
            "SHUTDOWN" => {
                if let Some(end) = end_of_shutdown(&event) {
                    ending.set(end);
                }
            }
            "STOP" => {
                let status =
                    timeout(Duration::from_secs(5), qmp.execute_raw("query-status", json!({}))).await;
                let Ok(Ok(status)) = status else { continue };
                let state = status.get("status").and_then(Value::as_str).unwrap_or_default();
                if matches!(state, "internal-error" | "io-error") {
                    ending.set(End::QemuFailed {
                        state: state.to_owned(),
                    });
                }
            }
            _ => {}
        }
    }
}

fn end_of_panic(event: &Event) -> End {
    let info = event.data.get("info");
    let text = |key| info.and_then(|info| info.get(key)).and_then(Value::as_str);
    let number = |key| {
        info.and_then(|info| info.get(key))
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    if text("type") == Some("s390") {
        return End::DisabledWait {
            reason: text("reason").unwrap_or("disabled-wait").to_owned(),
            psw_mask: number("psw-mask"),
            psw_addr: number("psw-addr"),
        };
    }
    End::Panicked {
        seen: PanicSource::Event,
        line: "told by pvpanic; the console says nothing".to_owned(),
    }
}

/// `None` where memrig itself shut the machine down.
fn end_of_shutdown(event: &Event) -> Option<End> {
    if event.data.get("guest").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    Some(match event.data.get("reason").and_then(Value::as_str) {
        Some("guest-reset") => End::Reset,
        _ => End::SwitchedOff,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_disabled_wait_is_told_from_a_panic() {
        let event = event(
            r#"{"event": "GUEST_PANICKED", "timestamp": {"seconds": 1, "microseconds": 2}, "data": {"action": "pause",
                "info": {"type": "s390", "core": 0, "psw-mask": 562956395872256, "psw-addr": 18446744073709551615,
                "reason": "disabled-wait"}}}"#,
        );
        let End::DisabledWait { reason, psw_addr, .. } = end_of_panic(&event) else {
            panic!()
        };
        assert_eq!((reason.as_str(), psw_addr), ("disabled-wait", u64::MAX));
    }

    #[test]
    fn only_the_guest_itself_switches_off() {
        let shutdown = |guest: bool, reason: &str| {
            let data = json!({"guest": guest, "reason": reason});
            let timestamp = json!({"seconds": 1, "microseconds": 2});
            let event = json!({"event": "SHUTDOWN", "timestamp": timestamp, "data": data});
            end_of_shutdown(&serde_json::from_value(event).unwrap())
        };
        assert_eq!(shutdown(true, "guest-shutdown"), Some(End::SwitchedOff));
        assert_eq!(shutdown(true, "guest-reset"), Some(End::Reset));
        assert_eq!(shutdown(false, "host-qmp-quit"), None);
    }
}
