// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case needs of a guest, and of who starts one.

use std::time::Duration;

use serde_json::Value;

use crate::{
    plan::Job,
    session::{NoGuest, Origin, Stage},
};
use format::{cover::Pieces, klog::Finding, qmp::Client};
use record::CaseFolder;
use vm::{
    guest::{Diagnosis, Guest, GuestPort, Port, PortError, Witness},
    machine::{End, MachineError, Share, Wait},
};

/// Starts the guests of a case.
pub(crate) trait Guests {
    /// A guest that was started.
    type Guest: UnderTest;

    /// Gives a job a guest that can be talked to, from `origin` where that can be had, and says whence it is.
    async fn guest(
        &self,
        job: &Job,
        folder: &CaseFolder,
        origin: Origin,
    ) -> Result<(Self::Guest, Origin), NoGuest>;

    /// The QEMU command of a guest, to be pasted.
    fn by_hand(&self, guest: &Self::Guest) -> String;
}

/// A guest under test.
pub(crate) trait UnderTest {
    /// The way into it.
    type Port: GuestPort;

    /// The way into it.
    fn port(&self) -> &Self::Port;

    /// What the script printed that was not answered, as far as it came.
    fn unanswered(&self) -> Vec<u8>;

    /// QEMU, which can be asked and reports events.
    fn qmp(&self) -> &Client;

    /// Reads a property of an object in the machine.
    async fn property(&self, path: &str, property: &str) -> Result<Value, MachineError>;

    /// Races `what` against the guest's end and a limit of the time that the host gives it.
    async fn wait_for<T>(&self, what: impl Future<Output = T>, limit: Duration) -> Result<T, Wait>;

    /// Lets it have some time.
    async fn rest(&self, time: Duration);

    /// A time limit for a guest of its speed.
    fn scale(&self, limit: Duration) -> Duration;

    /// The time of the run's clock.
    fn now(&self) -> Duration;

    /// What it got of the time since then, if the host was too busy for it.
    fn starved_since(&self, then: Duration) -> Option<Share>;

    /// What it got of the time that a finding in `log` speaks of, if the host was too busy for it.
    fn starved(&self, log: &str, finding: &Finding) -> Option<Share>;

    /// The same for a panic that ended it.
    fn starved_end(&self, end: &End) -> Option<Share>;

    /// All that its console shows.
    fn console(&self) -> String;

    /// What it said on its console by itself, before it was asked for its tasks there.
    fn said(&self) -> String;

    /// Waits until it has nothing more to say on its console.
    async fn last_words(&self);

    /// How it ended, if it has.
    fn end(&self) -> Option<End>;

    /// Why it did not answer.
    async fn diagnose(&self, error: &PortError) -> Diagnosis;

    /// The tasks of one that has not answered for a while; `None` if it does not answer that either.
    async fn look(&self) -> Result<Option<String>, Diagnosis>;

    /// How often it was looked at; each look moves its free pages.
    fn looks(&self) -> u32;

    /// What is found of one that has got nowhere since then.
    async fn stands(&self, answers: bool, since: Duration) -> Diagnosis;

    /// Finds the task in which it hangs.
    async fn find_stuck(&self, diagnosis: &Diagnosis);

    /// What one that hangs told of its tasks, if it was asked.
    fn tasks(&self) -> Option<&str>;

    /// Whether its console was asked for its tasks, since it answers in no other way.
    fn is_silent(&self) -> bool;

    /// Which code it ran since its machine started; `None` if nothing notes it.
    fn translated(&self) -> Result<Option<Pieces>, MachineError>;

    /// How many pieces of code that is; `None` if nothing notes them.
    fn noted(&self) -> Result<Option<u64>, MachineError>;

    /// Stops it.
    async fn stop(self);
}

impl Guests for Stage {
    type Guest = Guest;

    async fn guest(
        &self,
        job: &Job,
        folder: &CaseFolder,
        origin: Origin,
    ) -> Result<(Guest, Origin), NoGuest> {
        Stage::guest(self, job, folder, origin).await
    }

    fn by_hand(&self, guest: &Guest) -> String {
        Stage::by_hand(self, guest)
    }
}

impl UnderTest for Guest {
    type Port = Port;

    fn port(&self) -> &Port {
        &self.port
    }

    fn unanswered(&self) -> Vec<u8> {
        self.port.unanswered()
    }

    fn qmp(&self) -> &Client {
        self.machine.qmp()
    }

    async fn property(&self, path: &str, property: &str) -> Result<Value, MachineError> {
        self.machine.property(path, property).await
    }

    async fn wait_for<T>(&self, what: impl Future<Output = T>, limit: Duration) -> Result<T, Wait> {
        self.machine.wait_for(what, limit).await
    }

    async fn rest(&self, time: Duration) {
        self.machine.rest(time).await;
    }

    fn scale(&self, limit: Duration) -> Duration {
        self.speed.scale(limit)
    }

    fn now(&self) -> Duration {
        self.machine.clock().now()
    }

    fn starved_since(&self, then: Duration) -> Option<Share> {
        self.machine.meter().starved_since(then)
    }

    fn starved(&self, log: &str, finding: &Finding) -> Option<Share> {
        Witness::of(&self.machine).starved(log, finding)
    }

    fn starved_end(&self, end: &End) -> Option<Share> {
        Witness::of(&self.machine).starved_end(end)
    }

    fn console(&self) -> String {
        self.machine.console().text()
    }

    fn said(&self) -> String {
        Guest::said(self)
    }

    async fn last_words(&self) {
        Guest::last_words(self).await;
    }

    fn end(&self) -> Option<End> {
        self.machine.end()
    }

    async fn diagnose(&self, error: &PortError) -> Diagnosis {
        Guest::diagnose(self, error).await
    }

    async fn look(&self) -> Result<Option<String>, Diagnosis> {
        Guest::look(self).await
    }

    fn looks(&self) -> u32 {
        Guest::looks(self)
    }

    async fn stands(&self, answers: bool, since: Duration) -> Diagnosis {
        Guest::stands(self, answers, since).await
    }

    async fn find_stuck(&self, diagnosis: &Diagnosis) {
        Guest::find_stuck(self, diagnosis).await;
    }

    fn tasks(&self) -> Option<&str> {
        Guest::tasks(self)
    }

    fn is_silent(&self) -> bool {
        Guest::is_silent(self)
    }

    fn translated(&self) -> Result<Option<Pieces>, MachineError> {
        self.machine.translated()
    }

    fn noted(&self) -> Result<Option<u64>, MachineError> {
        self.machine.noted()
    }

    async fn stop(self) {
        Guest::stop(self).await;
    }
}
