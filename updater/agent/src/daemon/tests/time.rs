//! Time that passes only when nobody has anything else to do.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::daemon::Clock;
use crate::machine::Now;

/// No story takes longer.
const LIMIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The clock, and whoever sleeps by it.
#[derive(Debug, Default)]
pub(super) struct Virtual {
    now: Cell<Duration>,
    sleepers: RefCell<Vec<(Duration, Waker)>>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Virtual {
    pub(super) async fn sleep(&self, duration: Duration) {
        let until = self.now.get() + duration;
        poll_fn(|context| {
            if self.now.get() >= until {
                return Poll::Ready(());
            }
            self.sleepers.borrow_mut().push((until, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now.get()
    }

    /// Runs `story`; whenever it waits for nothing but time, time goes on to the next sleeper.
    pub(super) fn run(&self, story: impl Future<Output = ()>) {
        let mut story = pin!(story);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        loop {
            if flag.0.swap(false, Ordering::SeqCst) {
                if story.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    return;
                }
                continue;
            }
            let mut sleepers = self.sleepers.borrow_mut();
            let next = sleepers.iter().map(|(until, _)| *until).min().expect("nobody will ever do anything");
            assert!(next < LIMIT, "nothing came of it in {} days", LIMIT.as_secs() / 86_400);
            self.now.set(self.now.get().max(next));
            sleepers.retain(|(until, _)| *until > next);
            drop(sleepers);
            flag.0.store(true, Ordering::SeqCst);
        }
    }
}

impl Clock for Rc<Virtual> {
    fn now(&self) -> Now {
        Now { mono: self.now.get(), ..crate::machine::test_support::now(self.now.get().as_secs()) }
    }

    async fn sleep(&self, duration: Duration) {
        Virtual::sleep(self, duration).await;
    }
}
