//! How large, how long, how many. Both sides keep these.

/// Machines with a seat where nobody says how many: the smallest cluster that survives the loss of one.
pub const SIZE_DEFAULT: usize = 3;
/// Most machines with a seat. Each write waits for more than half of them, so five or seven are what anybody wants.
pub const SIZE_MAX: usize = 31;
/// Entries at one address, at most. Machines beyond the seats are told so before they write; old clients of etcd that race for the
/// last seat write all the same.
pub const MEMBERS_MAX: usize = 256;
/// Longest identifier of an entry, in bytes; etcd's have sixteen digits.
pub const ID_MAX: usize = 64;
/// Longest name of a machine, in bytes: a host name's.
pub const NAME_MAX: usize = 255;
/// Longest entry, in bytes: a name and a handful of addresses.
pub const VALUE_MAX: usize = 4096;
/// Shortest secret of a machine, in bytes: 128 bits in hexadecimal.
pub const SECRET_MIN: usize = 32;
/// Longest secret of a machine, in bytes.
pub const SECRET_MAX: usize = 256;
/// Longest token, in bytes; ours have 32 hexadecimal digits.
pub const TOKEN_MAX: usize = 128;
/// Longest address, in bytes.
pub const ADDRESS_MAX: usize = 2048;
/// Largest answer that is read, in bytes: twice as large as [`MEMBERS_MAX`] entries of [`VALUE_MAX`] could be.
pub const ANSWER_MAX: usize = 2 * MEMBERS_MAX * VALUE_MAX;
