//! Claims while this process builds, and patience while another one does. Correctness needs none of it: without waiting
//! work is done twice, and after waiting too long it is done after all.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::name::EnvironmentName;
use crate::process::threads;
use crate::store::Root;
use crate::store::claims::{self, Builder, Claim};

/// How often a builder updates its claim.
const BEAT: Duration = Duration::from_secs(10);

/// How often a waiting process looks. There is nothing to wait for but time: what another host writes on a shared filesystem
/// is no event here (inotify sees only this host's own writes).
const LOOK: Duration = Duration::from_millis(250);

/// How often a waiting process looks at a claim that does not change before it takes the builder for dead: two minutes. What
/// one host writes, another one may see a minute later.
const PATIENCE: u32 = 480;

/// What can be claimed: a generation.
pub(crate) type Wanted = (EnvironmentName, String);

/// Claims of this process, given up when dropped.
pub(crate) struct Claims<'a> {
    root: &'a Root,
    held: Vec<Claim>,
}

impl<'a> Claims<'a> {
    /// Claims these; whether each of them is ours, or why not. One whose builder is certainly gone is taken over.
    pub(crate) fn take(root: &'a Root, wanted: &[Wanted]) -> (Self, Vec<Option<Claim>>) {
        let mut held = Vec::new();
        let others = wanted
            .iter()
            .map(|(environment, id)| {
                let claim = Claim::ours(root, environment, id);
                let other = claim.take(root);
                if let Some(other) = &other
                    && other.builder() != Builder::Gone
                {
                    return Some(other.clone());
                }
                if other.is_some() {
                    claim.put(root);
                }
                held.push(claim);
                None
            })
            .collect();
        (Self { root, held }, others)
    }

    /// Keeps updating the claims while this is done.
    pub(crate) fn with_heartbeat<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (done, stopped) = channel::<()>();
        let (root, held) = (self.root, &mut self.held);
        std::thread::scope(|scope| {
            let beat = move || {
                while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                    for claim in held.iter_mut() {
                        claim.beat += 1;
                        claim.put(root);
                    }
                }
            };
            // Without a thread for it others may build the same: wasteful, not wrong.
            let _ = threads::spawn(scope, beat);
            let _done: Sender<()> = done;
            work()
        })
    }
}

impl Drop for Claims<'_> {
    fn drop(&mut self) {
        for claim in &self.held {
            claim.give_up(self.root);
        }
    }
}

/// Waits until another process has built what it claims, or does not build it any more.
pub(crate) fn wait(root: &Root, claim: &Claim) {
    let silent = watch(
        &mut || claims::read(root, &claim.environment, &claim.id),
        &mut || std::thread::sleep(LOOK),
    );
    if let Some(dead) = silent {
        // Only the claim is removed. What was being built stays, should the builder live after all.
        dead.give_up(root);
    }
}

/// Looks, and looks again after each pause, until there is no builder to wait for; the claim that stopped changing, if that
/// was the reason.
fn watch(look: &mut dyn FnMut() -> Option<Claim>, pause: &mut dyn FnMut()) -> Option<Claim> {
    let mut seen = None;
    let mut unchanged = 0;
    while unchanged < PATIENCE {
        // Built, given up, or damaged.
        let claim = look()?;
        if claim.builder() == Builder::Gone {
            return Some(claim);
        }
        let claim = Some(claim);
        unchanged = if claim == seen { unchanged + 1 } else { 0 };
        seen = claim;
        pause();
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn root() -> (tempfile::TempDir, Root) {
        let temporary = tempfile::tempdir().unwrap();
        let root = Root::at(temporary.path(), None);
        (temporary, root)
    }

    fn wanted() -> Wanted {
        ("mace".parse().unwrap(), "0123".into())
    }

    /// A claim of a host that we cannot see.
    fn of_another_host() -> Claim {
        let (temporary, root) = root();
        let claim = Claim::ours(&root, &wanted().0, "0123");
        drop(temporary);
        Claim {
            maker: "000000000000-1-7-1".into(),
            ..claim
        }
    }

    /// How often a process looks that sees this, and then nothing more.
    fn looks(seen: &mut dyn FnMut(u32) -> Option<Claim>) -> u32 {
        let (looked, paused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        watch(
            &mut || {
                looked.set(looked.get() + 1);
                seen(looked.get())
            },
            &mut || paused.set(paused.get() + 1),
        );
        assert!(paused.get() <= looked.get());
        looked.get()
    }

    #[test]
    fn a_claim_is_one_process_s_until_it_is_given_up() {
        let (_temporary, root) = root();
        let (ours, others) = Claims::take(&root, &[wanted()]);
        assert_eq!(others, [None]);
        let (theirs, others) = Claims::take(&root, &[wanted()]);
        assert_eq!(others[0].as_ref().unwrap().process, std::process::id());
        drop(theirs);
        assert_eq!(claims::all(&root).len(), 1);
        drop(ours);
        assert_eq!(claims::all(&root), []);
    }

    #[test]
    fn a_claim_that_is_damaged_or_of_the_dead_is_taken_over_and_one_that_cannot_be_written_is_none()
    {
        let (temporary, root) = root();
        let path = temporary.path().join("claims/mace@0123.json");
        files::create_directory(&temporary.path().join("claims")).unwrap();
        let mut dead = Claim::ours(&root, &wanted().0, "0123");
        dead.maker = {
            let mut child = std::process::Command::new("true").spawn().unwrap();
            child.wait().unwrap();
            let us: Vec<&str> = dead.maker.split('-').collect();
            format!("{}-{}-{}-1", us[0], us[1], child.id())
        };
        let dead = serde_json::to_string(&dead).unwrap();
        for text in ["", "{", "{\"schema\": 9}", &dead] {
            files::write(&path, text.as_bytes()).unwrap();
            let (_held, others) = Claims::take(&root, &[wanted()]);
            assert_eq!(others, [None], "{text}");
            assert_eq!(claims::all(&root).len(), 1);
        }
        files::remove_tree(&temporary.path().join("claims")).unwrap();
        files::write(&temporary.path().join("claims"), b"").unwrap();
        let (_held, others) = Claims::take(&root, &[wanted()]);
        assert_eq!(others, [None]);
    }

    #[test]
    fn a_waiting_process_looks_until_the_claim_is_gone() {
        let claim = of_another_host();
        assert_eq!(looks(&mut |n| (n < 3).then(|| claim.clone())), 3);
    }

    #[test]
    fn a_silent_builder_is_not_waited_for_for_ever() {
        let claim = of_another_host();
        assert_eq!(looks(&mut |_| Some(claim.clone())), PATIENCE + 1);
    }

    #[test]
    fn a_builder_that_lives_is_waited_for_as_long_as_it_takes() {
        let mut claim = of_another_host();
        let long = 10 * PATIENCE;
        let slow = |n: u32| {
            claim.beat = u64::from(n / (PATIENCE - 1));
            (n < long).then(|| claim.clone())
        };
        assert_eq!(looks(&mut { slow }), long);
    }

    #[test]
    fn a_builder_that_is_gone_is_not_waited_for() {
        let mut claim = of_another_host();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let us = crate::files::maker::this_process();
        let us: Vec<&str> = us.split('-').collect();
        claim.maker = format!("{}-{}-{}-1", us[0], us[1], child.id());
        assert_eq!(looks(&mut |_| Some(claim.clone())), 1);
    }

    #[test]
    fn a_builder_claims_and_gives_up_what_it_holds() {
        let (_temporary, root) = root();
        let (mut held, _) = Claims::take(&root, &[wanted()]);
        let seen = held.with_heartbeat(|| claims::all(&root));
        assert_eq!(seen.len(), 1);
        drop(held);
        assert_eq!(claims::all(&root), []);
    }
}
