//! Whose turn it is to reboot: a counting semaphore per group whose holders are known by name (FleetLock).

use serde::Serialize;

use super::{Span, Time};

/// Machines of a group that may reboot at one time where nobody says how many.
pub const SLOTS_DEFAULT: u64 = 1;
/// Most machines of one group that may reboot at one time.
pub const SLOTS_MAX: u64 = 10_000;
/// Groups that are kept: whoever reaches the server may name new ones.
pub const GROUPS_MAX: i64 = 1_000;
/// Longest name of a group, in bytes.
pub const GROUP_MAX: usize = 64;
/// Longest name of a holder, in bytes.
pub const HOLDER_MAX: usize = 128;
/// Shortest time after which a holder may be counted as dead: nothing reboots and settles faster.
pub const HOLD_LEAST: Span = Span::minutes(1);

/// A machine that may reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Holder {
    /// What it calls itself.
    pub id: String,
    /// Since when.
    pub since: Time,
    /// When it last asked.
    pub asked_at: Time,
}

/// A group and whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Turns {
    /// The group's name.
    pub group: String,
    /// How many may reboot at one time; none holds back everybody.
    pub slots: u64,
    /// After how long without asking again a holder counts as dead; never, where it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_max: Option<Span>,
    /// Whose turn it is, longest first.
    pub holders: Vec<Holder>,
}

/// The answer to a machine that wants to reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It may, from now on. `dead` are holders that are let go for it.
    Granted {
        /// Their names.
        dead: Vec<String>,
    },
    /// It may; it was told so before.
    Again,
    /// Not now.
    Refused(String),
}

impl Turns {
    /// Answers a machine that wants to reboot. Whoever has a turn already keeps it, also where there are fewer slots now.
    #[must_use]
    pub fn ask(&self, id: &str, now: Time) -> Turn {
        if self.holders.iter().any(|holder| holder.id == id) {
            return Turn::Again;
        }
        if self.slots == 0 {
            return Turn::Refused(format!("reboots of group {} are held back by an operator", self.group));
        }
        let (dead, alive): (Vec<&Holder>, Vec<&Holder>) = self.holders.iter().partition(|holder| self.is_dead(holder, now));
        let taken = u64::try_from(alive.len()).unwrap_or(u64::MAX);
        if taken < self.slots {
            // Only as many as it takes: one that comes back keeps its turn if nobody else wanted it.
            let places = self.slots.saturating_sub(u64::try_from(self.holders.len()).unwrap_or(u64::MAX));
            let needed = usize::from(places == 0) + self.holders.len().saturating_sub(usize::try_from(self.slots).unwrap_or(usize::MAX));
            return Turn::Granted { dead: dead.into_iter().take(needed).map(|holder| holder.id.clone()).collect() };
        }
        let longest = alive.iter().min_by_key(|holder| holder.since);
        let who = longest.map(|holder| format!("; {} has one since {}", holder.id, holder.since)).unwrap_or_default();
        Turn::Refused(format!("{taken} of {} turns of group {} are taken{who}", self.slots, self.group))
    }

    fn is_dead(&self, holder: &Holder, now: Time) -> bool {
        self.hold_max.is_some_and(|most| now.since(holder.asked_at) > most)
    }
}

/// Whether a group may be called so: `^[a-zA-Z0-9.-]+$`, and not endless.
#[must_use]
pub fn is_group(text: &str) -> bool {
    !text.is_empty() && text.len() <= GROUP_MAX && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
}

/// Whether a machine may call itself so: what can be shown, and not endless.
#[must_use]
pub fn is_holder(text: &str) -> bool {
    !text.is_empty() && text.len() <= HOLDER_MAX && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(slots: u64, hold_max: Option<Span>, holders: &[(&str, i64)]) -> Turns {
        let holders = holders.iter().map(|(id, at)| Holder { id: (*id).to_owned(), since: Time(*at), asked_at: Time(*at) }).collect();
        Turns { group: "g".to_owned(), slots, hold_max, holders }
    }

    #[test]
    fn turns_are_given_kept_and_refused() {
        let granted = |dead: &[&str]| Turn::Granted { dead: dead.iter().map(|id| (*id).to_owned()).collect() };
        let (minute, now) = (Some(Span::minutes(1)), Time(100_000));
        for (turns, id, wanted) in [
            (turns(1, None, &[]), "a", Some(granted(&[]))),
            (turns(1, None, &[("a", 0)]), "a", Some(Turn::Again)),
            (turns(1, None, &[("a", 0)]), "b", None),
            (turns(2, None, &[("a", 0)]), "b", Some(granted(&[]))),
            (turns(0, None, &[]), "a", None),
            (turns(0, None, &[("a", 0)]), "a", Some(Turn::Again)),
            (turns(1, None, &[("a", 0), ("b", 0)]), "c", None),
            (turns(1, minute, &[("a", 0)]), "b", Some(granted(&["a"]))),
            (turns(1, minute, &[("a", 0)]), "a", Some(Turn::Again)),
            (turns(1, minute, &[("a", 40_000)]), "b", None),
            (turns(2, minute, &[("a", 0)]), "b", Some(granted(&[]))),
            (turns(2, minute, &[("a", 0), ("b", 0)]), "c", Some(granted(&["a"]))),
            (turns(1, minute, &[("a", 0), ("b", 0)]), "c", Some(granted(&["a", "b"]))),
            (turns(0, minute, &[("a", 0)]), "b", None),
        ] {
            let got = turns.ask(id, now);
            match wanted {
                Some(wanted) => assert_eq!(got, wanted, "{turns:?} {id}"),
                None => assert!(matches!(got, Turn::Refused(_)), "{turns:?} {id}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_refusal_says_who_is_in_the_way() {
        let Turn::Refused(why) = turns(1, None, &[("a", 0)]).ask("b", Time(1)) else { panic!("granted") };
        assert_eq!(why, "1 of 1 turns of group g are taken; a has one since 1970-01-01T00:00:00Z");
    }

    #[test]
    fn names_are_bounded() {
        for (name, group, holder) in [
            ("default", true, true),
            ("a.b-C9", true, true),
            ("", false, false),
            ("a_b", false, true),
            ("a b", false, false),
            ("a\n", false, false),
            ("ä", false, false),
            (&"a".repeat(65), false, true),
            (&"a".repeat(129), false, false),
        ] {
            assert_eq!((is_group(name), is_holder(name)), (group, holder), "{name:?}");
        }
    }

    proptest! {
        /// Whatever machines ask, release and die: no more have a turn than there are slots.
        #[test]
        fn never_more_than_there_are_slots(slots in 0u64..5, hold in prop::option::of(1u64..50), steps in prop::collection::vec((0u8..8, any::<bool>(), 0i64..40), 0..200)) {
            let mut state = turns(slots, hold.map(Span), &[]);
            let mut now = Time(0);
            for (who, ask, wait) in steps {
                now = Time(now.0 + wait);
                let id = who.to_string();
                if !ask {
                    state.holders.retain(|holder| holder.id != id);
                    continue;
                }
                match state.ask(&id, now) {
                    Turn::Granted { dead } => {
                        state.holders.retain(|holder| !dead.contains(&holder.id));
                        state.holders.push(Holder { id, since: now, asked_at: now });
                    }
                    Turn::Again => state.holders.iter_mut().filter(|holder| holder.id == id).for_each(|holder| holder.asked_at = now),
                    Turn::Refused(_) => prop_assert!(!state.holders.iter().any(|holder| holder.id == id)),
                }
                prop_assert!(state.holders.len() as u64 <= slots);
            }
        }
    }
}
