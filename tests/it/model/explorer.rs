//! Breadth-first over every reachable state: the first violation found has the shortest trace.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// A system that can be explored: a state knows its own next steps.
pub(super) trait System: Clone + Hash {
    /// One atomic step; its `Debug` form is one line of a trace.
    type Action: Copy + Debug + 'static;

    /// All steps that could be possible anywhere.
    fn actions() -> &'static [Self::Action];
    /// Whether the world owes this step; a fault, which it does not owe, is none.
    fn is_progress(action: Self::Action) -> bool;
    /// The state after the step, or `None` if it cannot be taken here.
    fn step(&self, action: Self::Action) -> Option<Self>;
    /// What is wrong with this state, if anything.
    fn violation(&self) -> Option<String>;
    /// What is wrong with coming to rest here.
    fn violation_at_rest(&self) -> Option<String>;
    /// Picks up what the steps to this state have marked, so that it is no part of the state.
    fn take_marks(&mut self) -> u64;
}

/// What an exploration saw.
pub(super) struct Exploration {
    pub(super) states: usize,
    pub(super) transitions: usize,
    pub(super) at_rest: usize,
    pub(super) elapsed: Duration,
    pub(super) marks: u64,
    pub(super) violation: Option<String>,
}

/// Visits all states that are reachable from `first`, or stops at the first violation.
pub(super) fn explore<S: System>(first: S) -> Exploration {
    let begun = now();
    let mut seen = HashSet::from([fingerprint(&first)]);
    // How each state was reached, for traces: the index of the one before, and the step.
    let mut origins: Vec<(u32, Option<S::Action>)> = vec![(0, None)];
    let mut frontier = VecDeque::from([(first, 0_u32)]);
    let mut seen_so_far = Exploration {
        states: 0,
        transitions: 0,
        at_rest: 0,
        elapsed: Duration::ZERO,
        marks: 0,
        violation: None,
    };
    while let Some((state, index)) = frontier.pop_front() {
        seen_so_far.states += 1;
        let mut found = state.violation();
        let mut rests = true;
        let here = fingerprint(&state);
        for action in S::actions() {
            let Some(mut next) = state.step(*action) else { continue };
            seen_so_far.marks |= next.take_marks();
            let print = fingerprint(&next);
            // A step that changes nothing is no step.
            if print == here {
                continue;
            }
            seen_so_far.transitions += 1;
            rests &= !S::is_progress(*action);
            if seen.insert(print) {
                origins.push((index, Some(*action)));
                frontier.push_back((next, u32::try_from(origins.len() - 1).unwrap()));
            }
        }
        if rests {
            seen_so_far.at_rest += 1;
            found = found.or_else(|| state.violation_at_rest());
        }
        if let Some(found) = found {
            seen_so_far.violation = Some(format!("{found}\n{}", trace::<S>(&origins, index)));
            break;
        }
    }
    seen_so_far.elapsed = begun.elapsed();
    seen_so_far
}

/// The steps to a state, in words.
fn trace<S: System>(origins: &[(u32, Option<S::Action>)], mut index: u32) -> String {
    let mut lines = Vec::new();
    while let (before, Some(action)) = origins[index as usize] {
        lines.push(format!("{action:?}"));
        index = before;
    }
    lines.reverse();
    let numbered = lines.iter().enumerate().map(|(at, line)| format!("{:>3}. {line}", at + 1));
    numbered.collect::<Vec<_>>().join("\n")
}

/// 64 bits of a state. Two of a million states share them with a chance of one to thirty million.
fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

#[expect(clippy::disallowed_methods, reason = "how long a check takes is no logic")]
fn now() -> Instant {
    Instant::now()
}
