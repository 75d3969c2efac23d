//! How a release becomes bytes on the wire and bytes on a slot.
