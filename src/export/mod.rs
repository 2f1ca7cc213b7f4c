//! An environment of the lock in the words of other tools, so that it can be built, compared or listed without this one.
//! Texts only: nothing is fetched, nothing is written.

mod subject;
mod cyclonedx;
mod pylock;
mod requirements;

pub use cyclonedx::cyclonedx;
pub use pylock::{NoAddress, pylock};
pub use requirements::requirements;
pub use subject::{Addresses, Subject};
