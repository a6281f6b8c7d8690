// SPDX-License-Identifier: MIT OR Apache-2.0
//! A fake guest as a case sees it.

use std::{
    process::ExitStatus,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{Death, Fault, fault::met, kernel::Kernel, qemu};
use crate::case::guest::UnderTest;
use base::Errno;
use format::{cover::Pieces, klog::Finding, qmp::Client};
use vm::{
    guest::{Diagnosis, GuestPort, Output, PortError},
    machine::{End, MachineError, PanicSource, Share, Wait},
};

/// What a task that is stuck shows of itself.
const STUCK: &str = "task:memrig-line state:D pid:140 ticks:7\n[<0>] __schedule+0x1/0x1\n[<0>] percpu_rwsem_wait+0x1/0x1\n\
                     [<0>] mem_hotplug_begin+0x1/0x1\n";

/// What is left of a guest.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Broken {
    /// It answers nobody.
    hangs: bool,
    /// The host gives it no time.
    starves: bool,
}

/// The way into a fake guest.
#[derive(Debug)]
pub(crate) struct FakePort {
    kernel: Arc<Mutex<Kernel>>,
    end: watch::Sender<Option<End>>,
    broken: Mutex<Broken>,
}

/// A guest that is none.
#[derive(Debug)]
pub(crate) struct Fake {
    port: FakePort,
    qmp: Client,
    began: Instant,
    looks: AtomicU32,
    tasks: OnceLock<String>,
    /// Length of the console when it was asked for its tasks.
    asked: OnceLock<usize>,
}

impl FakePort {
    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.lock().expect("a kernel")
    }

    fn broken(&self) -> Broken {
        *self.broken.lock().expect("what is left")
    }

    fn dies(&self, death: Death) {
        let end = match death {
            Death::Panic(why) => {
                let line = format!("Kernel panic - not syncing: {why}");
                self.kernel().says(&line);
                self.kernel().says(&format!("---[ end {line} ]---"));
                End::Panicked {
                    seen: PanicSource::Console,
                    line,
                }
            }
            Death::QemuGone => End::QemuExited {
                status: ExitStatus::default(),
                stderr: "out of memory".to_owned(),
            },
            Death::Reset => End::Reset,
        };
        self.end.send_replace(Some(end));
    }

    /// Meets what goes wrong with something that is asked for; the faults that are left are the answer's.
    async fn meet(&self, asked: String) -> Result<Vec<Fault>, PortError> {
        let faults = {
            let mut kernel = self.kernel();
            kernel.asked.push(asked.clone());
            met(&mut kernel.rules, &asked)
        };
        let mut left = Vec::new();
        for fault in faults {
            match fault {
                Fault::Say(line) => self.kernel().says(line),
                Fault::Late(seconds) => sleep(Duration::from_secs(seconds)).await,
                Fault::Die(death) => self.dies(death),
                Fault::Hang => self.broken.lock().expect("what is left").hangs = true,
                Fault::Starve => self.broken.lock().expect("what is left").starves = true,
                Fault::Stick => std::future::pending().await,
                Fault::Lose => {
                    return Err(PortError::Lost {
                        what: asked.lines().next().expect("something asked").to_owned(),
                        why: "broken pipe".to_owned(),
                    });
                }
                other => left.push(other),
            }
        }
        if self.end.borrow().is_some() || self.broken() != Broken::default() {
            std::future::pending::<()>().await;
        }
        Ok(left)
    }
}

impl GuestPort for FakePort {
    async fn exec(&self, script: &str, _: Duration) -> Result<Output, PortError> {
        let faults = self.meet(script.to_owned()).await?;
        let answer = self.kernel().run(script);
        Ok(faults.iter().fold(answer, |answer, fault| fault.of(answer)))
    }

    async fn read(&self, path: &str, _: Duration) -> Result<Result<String, Errno>, PortError> {
        let faults = self.meet(format!("read {path}")).await?;
        Ok(match faults.first() {
            Some(Fault::Refuse(errno)) => Err(*errno),
            _ => self.kernel().read(path),
        })
    }

    async fn write(&self, path: &str, value: &str, _: Duration) -> Result<Result<(), Errno>, PortError> {
        let faults = self.meet(format!("write {path} {value}")).await?;
        Ok(match faults.first() {
            Some(Fault::Refuse(errno)) => Err(*errno),
            Some(Fault::Ignore) => Ok(()),
            Some(Fault::Exit(code, said)) => {
                return Err(PortError::Unclear {
                    what: format!("write of `{value}` to {path}"),
                    said: format!("{said} (exit code {code})"),
                });
            }
            _ => self.kernel().write(path, value),
        })
    }

    async fn write_failing(
        &self,
        path: &str,
        value: &str,
        nth: u32,
        _: Duration,
    ) -> Result<(Result<(), Errno>, u32), PortError> {
        let faults = self.meet(format!("write {path} {value} failing {nth}")).await?;
        let mut kernel = self.kernel();
        let answer = match faults.first() {
            Some(Fault::Refuse(errno)) => Err(*errno),
            Some(Fault::Ignore) => Ok(()),
            _ => kernel.write_failing(path, value, nth),
        };
        Ok((answer, kernel.left_of(nth)))
    }
}

impl Fake {
    pub(super) async fn start(kernel: Kernel) -> Self {
        let kernel = Arc::new(Mutex::new(kernel));
        Self {
            qmp: qemu::start(kernel.clone()).await,
            port: FakePort {
                kernel,
                end: watch::Sender::new(None),
                broken: Mutex::default(),
            },
            began: Instant::now(),
            looks: AtomicU32::new(0),
            tasks: OnceLock::new(),
            asked: OnceLock::new(),
        }
    }

    /// The kernel, which outlives the guest.
    pub(super) fn kernel(&self) -> Arc<Mutex<Kernel>> {
        self.port.kernel.clone()
    }

    async fn ended(&self) -> End {
        let mut end = self.port.end.subscribe();
        let end = end
            .wait_for(Option::is_some)
            .await
            .expect("the guest is there")
            .clone();
        end.expect("it has ended")
    }
}

impl UnderTest for Fake {
    type Port = FakePort;

    fn port(&self) -> &FakePort {
        &self.port
    }

    fn unanswered(&self) -> Vec<u8> {
        b"up to here\n".to_vec()
    }

    fn qmp(&self) -> &Client {
        &self.qmp
    }

    async fn property(&self, path: &str, property: &str) -> Result<Value, MachineError> {
        let asked = json!({"path": path, "property": property});
        Ok(self.qmp.execute_raw("qom-get", asked).await?)
    }

    async fn wait_for<T>(&self, what: impl Future<Output = T>, limit: Duration) -> Result<T, Wait> {
        tokio::select! {
            biased;
            done = what => Ok(done),
            end = self.ended() => Err(Wait::Ended(end)),
            () = sleep(limit) => Err(match self.port.broken().starves {
                true => Wait::Starved { limit, wall: limit * 10, share: None },
                false => Wait::Deadline(limit),
            }),
        }
    }

    async fn rest(&self, time: Duration) {
        sleep(time).await;
    }

    fn scale(&self, limit: Duration) -> Duration {
        limit
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn starved_since(&self, _: Duration) -> Option<Share> {
        None
    }

    fn starved(&self, _: &str, _: &Finding) -> Option<Share> {
        None
    }

    fn starved_end(&self, _: &End) -> Option<Share> {
        None
    }

    fn console(&self) -> String {
        self.port.kernel().console.clone()
    }

    fn said(&self) -> String {
        let console = self.console();
        self.asked
            .get()
            .map_or(console.clone(), |at| console[..*at].to_owned())
    }

    async fn last_words(&self) {
        sleep(Duration::from_millis(300)).await;
    }

    fn end(&self) -> Option<End> {
        self.port.end.borrow().clone()
    }

    async fn diagnose(&self, error: &PortError) -> Diagnosis {
        match (self.end(), self.port.broken().hangs, error) {
            (Some(end), ..) => Diagnosis::Ended(end),
            (None, true, _) => Diagnosis::Hangs,
            (None, false, PortError::Deadline { .. }) => Diagnosis::StuckAlone,
            (None, false, _) => Diagnosis::ConnectionLost,
        }
    }

    async fn look(&self) -> Result<Option<String>, Diagnosis> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        match (self.end(), self.port.broken()) {
            (Some(end), _) => Err(Diagnosis::Ended(end)),
            (None, Broken { starves: true, .. }) => {
                Err(Diagnosis::Starved("the host was too busy".to_owned()))
            }
            (None, Broken { hangs: true, .. }) => Ok(None),
            (None, _) => Ok(Some(STUCK.to_owned())),
        }
    }

    fn looks(&self) -> u32 {
        self.looks.load(Ordering::Relaxed)
    }

    async fn stands(&self, answers: bool, _: Duration) -> Diagnosis {
        match answers {
            true => Diagnosis::StuckAlone,
            false => Diagnosis::Hangs,
        }
    }

    async fn find_stuck(&self, diagnosis: &Diagnosis) {
        if *diagnosis == Diagnosis::Hangs {
            self.asked.get_or_init(|| self.console().len());
            self.port.kernel().says("sysrq: Show Blocked State");
        }
        self.tasks.get_or_init(|| STUCK.to_owned());
    }

    fn tasks(&self) -> Option<&str> {
        self.tasks.get().map(String::as_str)
    }

    fn is_silent(&self) -> bool {
        self.asked.get().is_some()
    }

    fn translated(&self) -> Result<Option<Pieces>, MachineError> {
        Ok(None)
    }

    fn noted(&self) -> Result<Option<u64>, MachineError> {
        Ok(None)
    }

    async fn stop(self) {
        self.port.end.send_replace(Some(End::Stopped));
    }
}
