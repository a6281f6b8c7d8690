// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a case. Each word of the language has a file of its own: what YAML says, what is checked, how it reads in one line; the
//! table has all of them.

mod action;
mod add;
mod assigned;
mod auto_online;
mod blocks;
mod busy;
mod checker;
mod configure;
mod cpu;
mod file;
mod guest;
mod hold;
mod line;
mod log;
mod notifiers;
mod offline;
mod online;
mod pages;
mod parallel;
mod pressure;
mod read;
mod refuse_assign;
mod remove;
mod repeat;
mod storage;
mod storage_commands;
mod sweep;
mod table;
mod uevents;
mod veto;
mod word;
mod write;

pub use action::{Action, Step};
pub use add::{Add, AddResult, Extent};
pub use assigned::Assigned;
pub use auto_online::AutoOnlineBlocks;
pub use busy::{Busy, Free};
pub use configure::{Configure, Deconfigure};
pub use cpu::Cpu;
pub use file::File;
pub use guest::Guest;
pub use hold::Hold;
pub use log::Log;
pub use notifiers::Notifiers;
pub use offline::Offline;
pub use online::Online;
pub use pages::Pages;
pub use parallel::Parallel;
pub use pressure::Pressure;
pub use read::Read;
pub use refuse_assign::RefuseAssign;
pub use remove::Remove;
pub use repeat::Repeat;
pub use storage::{Storage, StorageFile};
pub use storage_commands::StorageCommands;
pub use sweep::Sweep;
pub use table::{Act, Look};
pub use uevents::Uevents;
pub use veto::Veto;
pub use write::Write;

pub(crate) use checker::check_steps;
pub(crate) use table::RawStep;
