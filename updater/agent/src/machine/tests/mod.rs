//! The story of updates, told in inputs and effects.

mod crashes;
mod evidence;
mod freshness;
mod judging;
mod operating;
mod outbox;
mod rebooting;
mod recovery;
mod scheduling;
mod trials;
mod turns;
mod updating;
