//! The world: the real binary among servers, programs and disks that misbehave, from a seed.
