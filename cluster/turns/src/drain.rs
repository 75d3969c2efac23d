//! The half that Swarm does before and after a reboot.

use std::future::Future;

use crate::Reason;

/// What a scheduler on this machine does before and after a reboot. Every call may be repeated, in any order.
pub trait Drain: Send + Sync + 'static {
    /// Whether the managers keep their quorum while this machine is away.
    fn quorum_after_leaving(&self) -> impl Future<Output = Result<(), Reason>> + Send;

    /// Gives no new work to this machine, and waits, within bounds of its own, until what it had runs elsewhere.
    fn drain(&self) -> impl Future<Output = Result<(), Reason>> + Send;

    /// Lets this machine have work again, unless somebody else than [`Drain::drain`] took it away.
    fn undrain(&self) -> impl Future<Output = Result<(), Reason>> + Send;

    /// Whether this machine is back: ready, active, and a manager again if it was one.
    ///
    /// # Errors
    /// It is not, and what is missing.
    fn settled(&self) -> impl Future<Output = Result<(), Reason>> + Send;
}

/// A machine without a scheduler.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSwarm;

impl Drain for NoSwarm {
    async fn quorum_after_leaving(&self) -> Result<(), Reason> {
        Ok(())
    }

    async fn drain(&self) -> Result<(), Reason> {
        Ok(())
    }

    async fn undrain(&self) -> Result<(), Reason> {
        Ok(())
    }

    async fn settled(&self) -> Result<(), Reason> {
        Ok(())
    }
}
