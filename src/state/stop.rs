//! Whether the program was asked to stop: waits for locks that other programs hold hear it too, where no token reaches.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Lets every wait for a lock end.
pub fn ask_to_stop() {
    ASKED.store(true, Ordering::SeqCst);
}

/// Whether it was asked.
pub fn is_stopping() -> bool {
    ASKED.load(Ordering::SeqCst)
}
