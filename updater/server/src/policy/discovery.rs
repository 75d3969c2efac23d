//! What becomes of an entry that a machine writes at a discovery address.

/// Tokens that may be in use at one time: a cluster a minute for a week.
pub const TOKENS_MAX: i64 = 10_000;
/// Events of one token: all are kept as long as the token is, so there is an end to them.
pub const EVENTS_MAX: u64 = 4_096;

/// An entry that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Existing<'a> {
    /// What it says.
    pub value: &'a str,
    /// Whether the caller proved to be who wrote it; see [`Proof`].
    pub proof: Proof,
}

/// How the caller stands to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It was written with a secret, and the caller has the same.
    Same,
    /// It was written with a secret, and the caller has another one, or none.
    Other,
    /// It was written without one, as etcd itself does.
    Open,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// `prevExist=false`, or nothing said: make it.
    Make,
    /// `prevExist=true`: change it.
    Change,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Create,
    /// It says so already, and the caller may know.
    Keep,
    /// The machine that wrote it says something else now. Its place in the order stays.
    Replace,
    /// It is there, and is somebody else's for all we know.
    Exists,
    /// There is none to change.
    Missing,
    /// No room.
    Full,
}

/// Decides about one write. `members` and `index` are those of the token before it.
#[must_use]
pub fn put(existing: Option<Existing<'_>>, wish: Wish, value: &str, members: usize, index: u64) -> Put {
    let room = index < EVENTS_MAX;
    match existing {
        None if wish == Wish::Change => Put::Missing,
        None if members >= discovery::limits::MEMBERS_MAX || !room => Put::Full,
        None => Put::Create,
        Some(Existing { proof: Proof::Other | Proof::Open, .. }) => Put::Exists,
        Some(existing) if existing.value == value => Put::Keep,
        Some(_) if !room => Put::Full,
        Some(_) => Put::Replace,
    }
}

/// Who removes an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remover {
    /// An operator.
    Operator,
    /// Somebody who knows the address.
    Anybody,
}

/// Whether an entry may be removed: one that was written with a secret only with the same, or by an operator.
#[must_use]
pub fn may_remove(proof: Proof, remover: Remover) -> bool {
    remover == Remover::Operator || proof != Proof::Other
}

#[cfg(test)]
mod tests {
    use discovery::limits::MEMBERS_MAX;

    use super::*;

    #[test]
    fn an_entry_is_written_once_and_again_only_by_its_machine() {
        use Proof::{Open, Other, Same};
        let there = |value, proof| Some(Existing { value, proof });
        for (existing, wish, members, index, wanted) in [
            (None, Wish::Make, 0, 1, Put::Create),
            (None, Wish::Make, MEMBERS_MAX, 1, Put::Full),
            (None, Wish::Make, 0, EVENTS_MAX, Put::Full),
            (None, Wish::Change, 0, 1, Put::Missing),
            (there("v", Open), Wish::Make, 1, 2, Put::Exists),
            (there("w", Open), Wish::Change, 1, 2, Put::Exists),
            (there("v", Other), Wish::Make, 1, 2, Put::Exists),
            (there("w", Other), Wish::Make, 1, 2, Put::Exists),
            (there("v", Same), Wish::Make, 1, 2, Put::Keep),
            (there("v", Same), Wish::Make, MEMBERS_MAX, EVENTS_MAX, Put::Keep),
            (there("w", Same), Wish::Make, MEMBERS_MAX, 2, Put::Replace),
            (there("w", Same), Wish::Change, 1, 2, Put::Replace),
            (there("w", Same), Wish::Make, 1, EVENTS_MAX, Put::Full),
        ] {
            assert_eq!(put(existing, wish, "v", members, index), wanted, "{existing:?} {wish:?} {members} {index}");
        }
    }

    #[test]
    fn who_wrote_with_a_secret_is_removed_with_it_or_by_an_operator() {
        for (proof, remover, may) in [
            (Proof::Open, Remover::Anybody, true),
            (Proof::Same, Remover::Anybody, true),
            (Proof::Other, Remover::Anybody, false),
            (Proof::Other, Remover::Operator, true),
        ] {
            assert_eq!(may_remove(proof, remover), may, "{proof:?} {remover:?}");
        }
    }
}
