//! Many sessions told at once, and each worker woken once for all of its own.
//!
//! To wake a task from another thread costs a system call and, if the worker sleeps, a switch of threads. What a
//! commit or a post has made durable concerns many sessions at the same moment.

use super::{SessionHandle, locked};
use protocol::control::Briefing;
use protocol::message::SamplePoint;
use protocol::types::EventNo;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// The sessions of one worker that have something to read.
#[derive(Default)]
pub struct Mailbox {
    woken: Mutex<Vec<Arc<SessionHandle>>>,
    arrived: Notify,
}

impl Mailbox {
    /// For the worker: returns when there is something to wake.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// For the worker: wakes them, on its own thread.
    pub(crate) fn wake_all(&self) {
        for session in std::mem::take(&mut *locked(&self.woken)) {
            session.wake_task();
        }
    }

    fn deliver(&self, sessions: &mut Vec<Arc<SessionHandle>>) {
        locked(&self.woken).append(sessions);
        self.arrived.notify_one();
    }
}

/// What many sessions are told together; they are woken when it is dropped.
#[derive(Default)]
pub(crate) struct Round {
    /// There are as few as workers.
    by_worker: Vec<(Arc<Mailbox>, Vec<Arc<SessionHandle>>)>,
}

impl Round {
    /// All events up to `through` are stored.
    pub(crate) fn acknowledge_events(&mut self, session: &Arc<SessionHandle>, through: EventNo) {
        let is_news = session.put_quietly(|inbox| inbox.acknowledge_events(through));
        self.wake(session, is_news);
    }

    /// All samples of that boot up to this one are stored.
    pub(crate) fn acknowledge_samples(&mut self, session: &Arc<SessionHandle>, through: SamplePoint) {
        let is_news = session.put_quietly(|inbox| inbox.acknowledge_samples(through));
        self.wake(session, is_news);
    }

    /// What the backend knows that a fresh session needs.
    pub(crate) fn brief(&mut self, session: &Arc<SessionHandle>, briefing: &Briefing) {
        let is_news = session.put_quietly(|inbox| inbox.brief(briefing));
        self.wake(session, is_news);
    }

    fn wake(&mut self, session: &Arc<SessionHandle>, is_news: bool) {
        if !is_news {
            return;
        }
        let Some(mailbox) = session.mailbox() else { return session.wake_task() };
        match self.by_worker.iter_mut().find(|(of, _)| Arc::ptr_eq(of, mailbox)) {
            Some((_, sessions)) => sessions.push(session.clone()),
            None => self.by_worker.push((mailbox.clone(), vec![session.clone()])),
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        for (mailbox, sessions) in &mut self.by_worker {
            mailbox.deliver(sessions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use protocol::types::{Epoch, StationId};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_worker_is_woken_once_and_wakes_each_session_once() {
        let mailbox = Arc::new(Mailbox::default());
        let woken = Arc::new(Counting::default());
        let sessions: Vec<_> = (1..=3)
            .map(|number| {
                let session = SessionHandle::new(StationId([number; 16]), Epoch(1), 0);
                let session = Arc::new(session.with_mailbox(mailbox.clone()));
                session.register(&Waker::from(woken.clone()));
                session
            })
            .collect();
        let mut round = Round::default();
        for through in [1, 2] {
            for session in &sessions {
                round.acknowledge_events(session, EventNo(through));
            }
        }
        assert_eq!(woken.0.load(Ordering::SeqCst), 0, "not before the round is over");
        drop(round);
        assert!(mailbox.arrived().now_or_never().is_some());
        assert!(mailbox.arrived().now_or_never().is_none(), "one wake for all");
        mailbox.wake_all();
        assert_eq!(woken.0.load(Ordering::SeqCst), 3);
        for session in &sessions {
            assert_eq!(session.take(true).unwrap().events_through, Some(EventNo(2)));
        }
        // What ended meanwhile hears nothing, and what has been read is told anew.
        sessions[0].close();
        let mut round = Round::default();
        sessions.iter().for_each(|session| round.acknowledge_events(session, EventNo(3)));
        drop(round);
        mailbox.wake_all();
        assert!(sessions[0].take(true).is_none());
        assert_eq!(sessions[1].take(true).unwrap().events_through, Some(EventNo(3)));
    }
}
