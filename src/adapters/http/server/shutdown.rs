//! The shutdown signal.

use tokio::sync::watch;

/// The progress of the shutdown, as connections see it.
#[derive(Clone)]
pub struct Shutdown {
    /// Set while requests are still accepted, but each HTTP/1 response closes its connection.
    pub(crate) draining: watch::Receiver<bool>,
    /// Set when nothing more is accepted.
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Returns when shutdown is requested, or when nobody can request it any more.
pub async fn shutdown_requested(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stop| *stop).await);
}
