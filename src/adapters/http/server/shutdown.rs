//! The shutdown signal.

use tokio::sync::watch;

/// Returns when shutdown is requested, or when nobody can request it any more.
pub async fn shutdown_requested(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stop| *stop).await);
}
