//! A session with one local MCP client: the backend without the HTTP service and its keys.

use std::sync::Arc;

use tokio::sync::watch;

use super::backend::Backend;
use super::gate::public_url;
use crate::adapters::http::{LocalServices, StdioError, serve_stdio};
use crate::domain::ids::ApplicationId;
use crate::domain::limits::RateLimits;
use crate::domain::oauth::{LocalAccess, LocalAccessError, Subject};

/// Why a local session failed.
#[derive(Debug, thiserror::Error)]
pub enum LocalSessionError {
    /// The application or the person may not be served.
    #[error(transparent)]
    Access(#[from] LocalAccessError),
    /// The client or the session failed.
    #[error(transparent)]
    Stdio(#[from] StdioError),
}

impl Backend {
    /// Serves MCP over standard input and output, on behalf of `subject` of `application`, until the client closes standard
    /// input. Other processes may serve the same database: undelivered writes are leased by whoever delivers them.
    ///
    /// # Errors
    /// [`LocalSessionError`].
    pub async fn serve_stdio(&self, application: ApplicationId, subject: Subject) -> Result<(), LocalSessionError> {
        let (memories, worker) = self.memories(self.bank(), self.queue());
        let access = LocalAccess::new(
            Arc::clone(&self.applications),
            Arc::clone(&self.people),
            RateLimits::new(self.config.rate_limit),
            Arc::clone(&self.clock),
            &*self.entropy,
            application,
            subject,
        );
        // A problem is reported before the client waits for an answer.
        access.admit().await?;
        let services = LocalServices {
            memories,
            access,
            public_url: public_url(&self.config, self.config.listen),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        };
        let (stop, stopped) = watch::channel(false);
        let delivering = tokio::spawn(worker.run(stopped));
        let session = serve_stdio(services).await;
        stop.send_replace(true);
        if let Err(error) = delivering.await {
            tracing::error!(error = %error, "background task failed");
        }
        self.database.close().await;
        Ok(session?)
    }
}
