// SPDX-License-Identifier: MIT OR Apache-2.0
//! A headless Chromium that a test looks at a page with, by its DevTools protocol over a pipe.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use base::exec::{Child, Command};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::ground;

/// How long the browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Browser {
    commands: File,
    answers: mpsc::Receiver<Value>,
    id: u64,
    session: Option<String>,
    _child: Child,
    _dir: tempfile::TempDir,
}

impl Browser {
    /// Starts the browser with an empty page.
    pub(crate) fn start() -> Self {
        ground::browser();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for pipe in ["in", "out"] {
            mknodat(CWD, path(pipe), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        let log = File::create(path("log")).unwrap();
        // As root the browser has no sandbox; the page is our own, and what it must not do is what is tested.
        // What it puts elsewhere for temporary files it leaves there when it is killed.
        let script = "cd \"$0\" && export TMPDIR=\"$0\" && exec 3<in 4>out && exec chromium --headless=new --no-sandbox --disable-gpu \
            --disable-dev-shm-usage --no-first-run --hide-scrollbars --user-data-dir=\"$0/profile\" \
            --remote-debugging-pipe about:blank";
        let child = Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg(dir.path())
            .log(&log)
            .unwrap()
            .spawn()
            .unwrap();
        let commands = File::options().write(true).open(path("in")).unwrap();
        let out = BufReader::new(File::open(path("out")).unwrap());
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            for message in out.split(0) {
                let Ok(message) = message else { return };
                let value = serde_json::from_slice(&message).expect("the browser speaks JSON");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            commands,
            answers,
            id: 0,
            session: None,
            _child: child,
            _dir: dir,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = target["targetId"].as_str().unwrap();
        let attached = browser.call(
            "Target.attachToTarget",
            json!({ "targetId": target, "flatten": true }),
        );
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Page.enable", json!({}));
        browser
    }

    /// Calls a method and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The answer to a method, which may be an error.
    fn answer(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let mut message = json!({ "id": self.id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        let id = self.id;
        self.until(method, |value| value["id"] == id)
    }

    fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left) {
                Ok(value) if is(&value) => return value,
                Ok(_) => {}
                Err(error) => panic!("the browser does not answer to {what}: {error}"),
            }
        }
    }

    /// Width, height and colour scheme that the page sees.
    pub(crate) fn see(&mut self, width: u32, height: u32, theme: &str) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        let theme = json!([{ "name": "prefers-color-scheme", "value": theme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": theme }));
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        let done = self.call("Page.navigate", json!({ "url": url }));
        assert!(done.get("errorText").is_none(), "{url}: {done}");
        self.wait_for("document.readyState === 'complete'");
    }

    /// What an expression comes to in the page.
    pub(crate) fn ask(&mut self, expression: &str) -> Value {
        let done = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }),
        );
        assert!(done.get("exceptionDetails").is_none(), "{expression}: {done}");
        done["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        // A page that is being left answers with an error.
        loop {
            let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
            let answer = self.answer("Runtime.evaluate", params);
            if answer["result"]["result"]["value"] == json!(true) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "never came true: {expression}: {answer}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks into the middle of what a selector finds first, as a pointer does: what lies above it gets the click.
    pub(crate) fn click(&mut self, selector: &str) {
        let quoted = json!(selector);
        let place = self.ask(&format!(
            "(() => {{ const e = document.querySelector({quoted}); if (!e) return null;
                e.scrollIntoView({{ block: 'center', behavior: 'instant' }}); const r = e.getClientRects()[0];
                return r ? [r.x + r.width / 2, r.y + r.height / 2] : null }})()"
        ));
        let [x, y] = [&place[0], &place[1]].map(|value| value.as_f64());
        let (Some(x), Some(y)) = (x, y) else {
            panic!("`{selector}` is not there to be clicked");
        };
        for kind in ["mousePressed", "mouseReleased"] {
            self.call(
                "Input.dispatchMouseEvent",
                json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 }),
            );
        }
    }

    /// Presses a key: `Tab`, `Enter` or a space.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, None),
            "Enter" => ("Enter", 13, Some("\r")),
            " " => ("Space", 32, Some(" ")),
            other => panic!("no such key here: {other}"),
        };
        let event = |kind: &str| {
            let mut event =
                json!({ "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number });
            if let (Some(text), "keyDown") = (text, kind) {
                event["text"] = json!(text);
            }
            event
        };
        self.call("Input.dispatchKeyEvent", event("keyDown"));
        self.call("Input.dispatchKeyEvent", event("keyUp"));
    }

    /// The picture of what is in view, as PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        openssl::base64::decode_block(shot["data"].as_str().unwrap()).unwrap()
    }
}
