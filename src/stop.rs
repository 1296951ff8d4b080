//! Whether the program was asked to stop: waits for locks of others and for programs hear it too, where no token reaches.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Lets every wait for a lock end.
pub(crate) fn ask_to_stop() {
    ASKED.store(true, Ordering::SeqCst);
}

/// Whether it was asked.
pub(crate) fn is_stopping() -> bool {
    ASKED.load(Ordering::SeqCst)
}
