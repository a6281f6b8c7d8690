// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two sides of a comparison.

use serde::{Deserialize, Serialize};

/// One of two kernels that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The kernel before.
    Base,
    /// The kernel after.
    New,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Base, Self::New];

    /// Its word in the names of cases.
    pub fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::New => "new",
        }
    }
}

/// Something of each side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sides<T> {
    /// Of the kernel before.
    pub base: T,
    /// Of the kernel after.
    pub new: T,
}

impl<T> Sides<T> {
    /// That of one side.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Base => &self.base,
            Side::New => &self.new,
        }
    }

    /// That of one side, to be changed.
    pub fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Base => &mut self.base,
            Side::New => &mut self.new,
        }
    }
}
