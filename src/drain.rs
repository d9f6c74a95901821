//! `chautari drain`: empties the running gateway and tells how far it is.

use std::time::Duration;

use protocol::control::{DrainProgress, DrainStage};
use reqwest::Method;

use crate::control::Control;

/// How often the gateway is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// Starts the drain and returns when it is over. Interrupting it does not stop the drain.
pub(crate) async fn run(control: &Control) -> anyhow::Result<()> {
    let mut told = String::new();
    let mut progress: DrainProgress = control.call(Method::POST, "drain").await?.json().await?;
    let begun = progress.instance_id;
    loop {
        let line = sentence(&progress);
        if line != told {
            println!("{line}");
            told = line;
        }
        if progress.stage == DrainStage::Drained {
            println!("Stop the process now (SIGTERM): stations come back when a gateway listens again.");
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
        // A process that is gone, or another one in its place, has nothing left to drain.
        let Ok(answer) = control.call(Method::GET, "drain").await else { break };
        progress = answer.json().await?;
        if progress.instance_id != begun {
            break;
        }
    }
    println!("The gateway has stopped.");
    Ok(())
}

fn sentence(progress: &DrainProgress) -> String {
    let DrainProgress { sessions, sessions_before, commands_open, uplink_items, telemetry_batches, .. } =
        progress;
    match progress.stage {
        DrainStage::Serving | DrainStage::Sessions => {
            format!("{sessions} of {sessions_before} sessions are left, {commands_open} commands are open.")
        }
        DrainStage::Queues => format!(
            "No session is left; {uplink_items} events and {telemetry_batches} batches of samples are on their way."
        ),
        DrainStage::Drained => format!(
            "Drained: {sessions} sessions, {uplink_items} events and {telemetry_batches} batches are left; stations keep what was not taken."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_said_in_a_sentence() {
        let progress = DrainProgress {
            instance_id: uuid::Uuid::nil(),
            stage: DrainStage::Sessions,
            sessions_before: 12,
            sessions: 5,
            commands_open: 1,
            uplink_items: 0,
            telemetry_batches: 0,
        };
        assert_eq!(sentence(&progress), "5 of 12 sessions are left, 1 commands are open.");
    }
}
