//! Who is there, in order, and who has a seat.

use std::fmt;

use crate::Member;

/// Who is there. The first `size` that came have the seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roll {
    /// Seats of the cluster.
    pub size: usize,
    /// All that are written at the address, in the order in which they came.
    pub members: Vec<Member>,
}

impl Roll {
    /// Those that have a seat: all machines see the same ones in the same order.
    #[must_use]
    pub fn seated(&self) -> &[Member] {
        self.members.get(..self.size).unwrap_or(&self.members)
    }

    /// Whether every seat is taken.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.members.len() >= self.size
    }

    /// Whether the entry `id` has a seat.
    #[must_use]
    pub fn has_seat(&self, id: &str) -> bool {
        self.seated().iter().any(|member| member.id == id)
    }
}

/// `2 of 3 machines are there`
impl fmt::Display for Roll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} machines are there", self.seated().len(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_have_the_seats() {
        let members: Vec<Member> = ["a", "b", "c"].map(|id| Member { id: id.to_owned(), name: id.to_owned(), peer_urls: vec![] }).to_vec();
        for (there, size, complete, seats) in [(0, 2, false, ""), (1, 2, false, "a"), (2, 2, true, "ab"), (3, 2, true, "ab")] {
            let roll = Roll { size, members: members[..there].to_vec() };
            let seated: String = roll.seated().iter().map(|member| member.id.as_str()).collect();
            assert_eq!((roll.complete(), seated.as_str()), (complete, seats), "{roll}");
            assert_eq!((roll.has_seat("a"), roll.has_seat("c")), (there > 0, false));
        }
    }
}
