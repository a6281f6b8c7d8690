// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every hazard of the protocol, played by a QEMU that is not there.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use qapi::qmp;
use serde_json::{Value, json};
use tokio::{
    io::{
        AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, duplex, split,
    },
    time::timeout,
};

use super::{Client, Direction, NoEvent, QmpError, Transcript};

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""}, "capabilities": ["oob"]}}"#;

/// The other side of the connection.
struct Qemu {
    asked: Lines<BufReader<ReadHalf<DuplexStream>>>,
    tell: WriteHalf<DuplexStream>,
}

impl Qemu {
    async fn say(&mut self, line: impl AsRef<[u8]>) {
        self.tell.write_all(line.as_ref()).await.unwrap();
        self.tell.write_all(b"\r\n").await.unwrap();
    }

    async fn asked(&mut self) -> Value {
        let line = self.asked.next_line().await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn answer(&mut self, question: &Value, mut answer: Value) {
        answer["id"] = question["id"].clone();
        self.say(answer.to_string()).await;
    }

    async fn event(&mut self, name: &str, data: Value) {
        let timestamp = json!({"seconds": 1, "microseconds": 2});
        self.say(json!({"event": name, "data": data, "timestamp": timestamp}).to_string())
            .await;
    }
}

type Written = Arc<Mutex<Vec<(Direction, String)>>>;

fn transcript() -> (Transcript, Written) {
    let written = Written::default();
    let into = written.clone();
    (
        Arc::new(move |way, line: &str| into.lock().unwrap().push((way, line.to_owned()))),
        written,
    )
}

/// A client that has negotiated, and its QEMU.
async fn connected() -> (Client, Qemu, Written) {
    let (ours, theirs) = duplex(1 << 16);
    let (asked, tell) = split(theirs);
    let mut qemu = Qemu {
        asked: BufReader::new(asked).lines(),
        tell,
    };
    let (reader, writer) = split(ours);
    let (transcript, written) = transcript();
    let negotiate = async {
        qemu.say(GREETING).await;
        let question = qemu.asked().await;
        assert_eq!(question["execute"], "qmp_capabilities");
        qemu.answer(&question, json!({"return": {}})).await;
    };
    let (client, ()) = tokio::join!(Client::start(reader, writer, transcript), negotiate);
    (client.unwrap(), qemu, written)
}

fn running() -> Value {
    json!({"return": {"running": true, "status": "running"}})
}

#[tokio::test]
async fn an_event_that_no_schema_knows_survives() {
    let (client, mut qemu, _) = connected().await;
    let mut events = client.events();
    qemu.event("MEM_UNPLUG_ERROR", json!({"device": "dimm0", "msg": "no"}))
        .await;
    let event = events.next().await.unwrap();
    assert_eq!(
        (event.name.as_str(), &event.data["device"]),
        ("MEM_UNPLUG_ERROR", &json!("dimm0"))
    );
    let serve = async {
        let question = qemu.asked().await;
        qemu.answer(&question, running()).await;
    };
    let (status, ()) = tokio::join!(client.execute(qmp::query_status {}), serve);
    assert!(status.unwrap().running);
}

#[tokio::test]
async fn an_event_has_a_typed_view() {
    let (client, mut qemu, _) = connected().await;
    let mut events = client.events();
    qemu.event(
        "DEVICE_DELETED",
        json!({"device": "dimm0", "path": "/machine/peripheral/dimm0"}),
    )
    .await;
    // Events without data come without the member.
    qemu.say(r#"{"event": "RESUME", "timestamp": {"seconds": 1, "microseconds": 2}}"#)
        .await;
    let deleted = events.next().await.unwrap();
    assert!(deleted.parse::<qmp::STOP>().is_none());
    let typed = deleted.parse::<qmp::DEVICE_DELETED>().unwrap().unwrap();
    assert_eq!(typed.device.as_deref(), Some("dimm0"));
    let resumed = events.find(|event| event.parse::<qmp::RESUME>()).await.unwrap();
    assert!(resumed.is_ok());
}

#[tokio::test]
async fn a_command_whose_time_was_over_disturbs_no_other() {
    let (client, mut qemu, written) = connected().await;
    let late = timeout(Duration::from_millis(20), client.execute_raw("late", json!({}))).await;
    assert!(late.is_err(), "nobody answered");
    let serve = async {
        let late = qemu.asked().await;
        let next = qemu.asked().await;
        assert_ne!(late["id"], next["id"]);
        qemu.answer(&late, json!({"return": "late"})).await;
        qemu.answer(&next, json!({"return": "next"})).await;
    };
    let (next, ()) = tokio::join!(client.execute_raw("next", json!({})), serve);
    assert_eq!(next.unwrap(), "next");
    let damaged = written
        .lock()
        .unwrap()
        .iter()
        .any(|(way, _)| *way == Direction::Damaged);
    assert!(!damaged, "a late reply is a reply");
}

#[tokio::test]
async fn replies_find_their_commands_in_any_order() {
    let (client, mut qemu, _) = connected().await;
    let serve = async {
        let (one, two) = (qemu.asked().await, qemu.asked().await);
        for question in [two, one] {
            qemu.answer(&question, json!({"return": question["execute"]}))
                .await;
        }
    };
    let (one, two) = (
        client.execute_raw("one", json!({})),
        client.execute_raw("two", json!({})),
    );
    let (one, two, ()) = tokio::join!(one, two, serve);
    assert_eq!((one.unwrap(), two.unwrap()), (json!("one"), json!("two")));
}

#[tokio::test]
async fn a_closed_connection_fails_what_waits_and_what_comes_later() {
    let (client, mut qemu, _) = connected().await;
    let mut events = client.events();
    let close = async {
        qemu.asked().await;
        drop(qemu);
    };
    let (waiting, ()) = tokio::join!(client.execute_raw("waiting", json!({})), close);
    assert!(matches!(waiting, Err(QmpError::Closed { command }) if command == "waiting"));
    assert_eq!(events.next().await, Err(NoEvent::Closed));
    assert!(client.is_closed());
    let soon = |future| timeout(Duration::from_secs(5), future);
    let later = soon(client.execute_raw("later", json!({})))
        .await
        .expect("it must not wait");
    assert!(matches!(later, Err(QmpError::Closed { command }) if command == "later"));
    let mut none = client.events();
    let event = timeout(Duration::from_secs(5), none.next())
        .await
        .expect("it must not wait");
    assert_eq!(event, Err(NoEvent::Closed));
}

#[tokio::test]
async fn what_is_no_json_is_kept_as_damage_and_ends_nothing() {
    let (client, mut qemu, written) = connected().await;
    let mut events = client.events();
    qemu.say("qemu-system-x86_64: warning: something").await;
    qemu.say(b"{\"event\": \xff\xfe").await;
    qemu.say(r#"{"return": {}, "id": 4711}"#).await;
    qemu.say(r#"{"error": {"class": "GenericError", "desc": "JSON parse error"}}"#)
        .await;
    qemu.event("STOP", json!({})).await;
    assert_eq!(events.next().await.unwrap().name, "STOP");
    let written = written.lock().unwrap();
    let damaged: Vec<&str> = written
        .iter()
        .filter(|(way, _)| *way == Direction::Damaged)
        .map(|(_, line)| line.as_str())
        .collect();
    assert_eq!(damaged.len(), 4, "{damaged:?}");
    assert_eq!(damaged[0], "qemu-system-x86_64: warning: something");
}

#[tokio::test]
async fn a_refusal_carries_the_words_of_qemu() {
    let (client, mut qemu, _) = connected().await;
    let serve = async {
        let question = qemu.asked().await;
        assert_eq!(question["arguments"]["driver"], "pc-dimm");
        let error = json!({"class": "GenericError", "desc": "'memdev' property must be set"});
        qemu.answer(&question, json!({"error": error})).await;
    };
    let (refused, ()) = tokio::join!(
        client.execute_raw("device_add", json!({"driver": "pc-dimm"})),
        serve
    );
    let text = refused.unwrap_err().to_string();
    assert_eq!(
        text,
        "QEMU refused `device_add`: 'memdev' property must be set (GenericError)"
    );
}

#[tokio::test]
async fn a_reply_of_another_shape_is_shown() {
    let (client, mut qemu, _) = connected().await;
    let serve = async {
        let question = qemu.asked().await;
        qemu.answer(&question, json!({"return": {"running": "perhaps"}}))
            .await;
    };
    let (status, ()) = tokio::join!(client.execute(qmp::query_status {}), serve);
    assert!(matches!(status, Err(QmpError::Shape { reply, .. }) if reply["running"] == "perhaps"));
}

#[tokio::test]
async fn the_transcript_has_every_line_in_its_order() {
    let (client, mut qemu, written) = connected().await;
    let serve = async {
        let question = qemu.asked().await;
        qemu.event("STOP", json!({})).await;
        qemu.answer(&question, json!({"return": {}})).await;
    };
    let (stopped, ()) = tokio::join!(client.execute_raw("stop", json!({})), serve);
    stopped.unwrap();
    let written = written.lock().unwrap();
    let told: Vec<_> = written
        .iter()
        .map(|(way, line)| (*way, line.split('"').nth(1).unwrap_or_default().to_owned()))
        .collect();
    use Direction::{Received, Sent};
    let ways: Vec<Direction> = told.iter().map(|(way, _)| *way).collect();
    assert_eq!(
        ways,
        [Received, Sent, Received, Sent, Received, Received],
        "{written:?}"
    );
    assert!(written[4].1.contains("STOP"), "{written:?}");
}

#[tokio::test]
async fn what_does_not_greet_is_no_qemu() {
    for said in ["", "SSH-2.0-dropbear\r\n", "{}\n"] {
        let (ours, mut theirs) = duplex(1 << 10);
        let (reader, writer) = split(ours);
        theirs.write_all(said.as_bytes()).await.unwrap();
        drop(theirs);
        let (transcript, _) = transcript();
        let error = Client::start(reader, writer, transcript).await.unwrap_err();
        assert!(
            matches!(error, QmpError::Greeting(ref line) if line == said.trim_end()),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told() {
    let (client, mut qemu, _) = connected().await;
    let mut events = client.events();
    let flood = 3 * super::client::EVENTS_KEPT;
    for number in 0..flood {
        qemu.event("RTC_CHANGE", json!({"offset": number})).await;
    }
    // The reply shows that all events before it were handed out.
    let serve = async {
        let question = qemu.asked().await;
        qemu.answer(&question, json!({"return": {}})).await;
    };
    let (done, ()) = tokio::join!(client.execute_raw("sync", json!({})), serve);
    done.unwrap();
    let Err(NoEvent::Missed(missed)) = events.next().await else {
        panic!("the first events are gone")
    };
    let next = events.next().await.unwrap();
    assert_eq!(next.data["offset"], missed);
}
