//! How providers fail in the wild.

use serde::{Deserialize, Serialize};

/// One way to treat a call to the API. Pages for people never misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Misbehaviour {
    /// Answers as it should, only later.
    Slow {
        /// How much later, in real time.
        delay_ms: u64,
    },
    /// Does what it was asked and drops the connection without a byte.
    LosesAnswer,
    /// Does what it was asked and leaves the caller waiting.
    Stalls,
    /// Drops the connection and does nothing.
    HangsUp,
    /// Answers this status with a JSON body and does nothing.
    Fails {
        /// 500 to 599, or whatever a test wants to see.
        status: u16,
    },
    /// Answers a page for people with this status and does nothing, as Nepali gateways do when a
    /// part of them is down; 200 was seen too.
    HtmlPage {
        /// The page's status.
        status: u16,
    },
    /// Does what it was asked and sends half of the answer as if it were the whole.
    BreaksJson,
    /// Sends more than anybody wants to read.
    Floods {
        /// How much.
        bytes: usize,
    },
}

/// What was ordered, and for how many calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    #[serde(flatten)]
    pub(crate) what: Misbehaviour,
    /// Calls that are still treated so.
    #[serde(default = "once")]
    pub(crate) times: usize,
    /// Only calls whose path contains this; empty for all.
    #[serde(default)]
    pub(crate) path: String,
}

fn once() -> usize {
    1
}

/// The plans in the order in which they were made; the first that fits a call is used.
#[derive(Debug, Default)]
pub(crate) struct Temper(pub(crate) Vec<Plan>);

impl Temper {
    /// How the call to `path` is treated, counted down.
    pub(crate) fn take(&mut self, path: &str) -> Option<Misbehaviour> {
        let plan = self.0.iter_mut().find(|plan| plan.times > 0 && path.contains(&plan.path))?;
        plan.times -= 1;
        let what = plan.what;
        self.0.retain(|plan| plan.times > 0);
        Some(what)
    }
}
