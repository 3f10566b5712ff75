//! Revokes tokens and grants on behalf of applications, within bounds.

use std::sync::Arc;
use std::time::Duration;

use super::grant_store::{GrantStore, Revocation, Revoked};
use super::token::{RefreshTokenClaims, Subject};
use crate::applications::{Application, ApplicationRepository, LONGEST_ACCESS_TOKEN_LIFETIME};
use crate::ids::{ApplicationId, UserId};
use crate::limits::{KeyedLimit, RateLimit};
use crate::system::{StorageError, Timestamp};

/// How many access tokens of a person an application may revoke individually.
const REVOCATIONS_OF_A_PERSON: RateLimit = RateLimit { burst: 100, interval: Duration::from_mins(10) };
/// Maximum number of pairs of an application and a person that are counted at a time.
const COUNTED_PEOPLE: usize = 10_000;

/// How long a revocation is kept individually after all tokens of its application were revoked.
pub(super) const UNTIL_ENDED_EVERYWHERE: Duration = Duration::from_mins(5);

/// Stores revocations. Clones share the counts.
#[derive(Clone)]
pub(super) struct Revoker {
    grants: Arc<dyn GrantStore>,
    applications: Arc<dyn ApplicationRepository>,
    of_people: Arc<KeyedLimit<(ApplicationId, UserId)>>,
}

impl Revoker {
    pub(super) fn new(grants: Arc<dyn GrantStore>, applications: Arc<dyn ApplicationRepository>) -> Self {
        let of_people = Arc::new(KeyedLimit::new(REVOCATIONS_OF_A_PERSON, COUNTED_PEOPLE));
        Self { grants, applications, of_people }
    }

    /// Whether one more access token of this person may be revoked by itself. Others use the same application, so what a person
    /// does in a loop must not end their tokens: beyond the rate limit the person's grant is revoked as a whole, of which there are
    /// as many as there were consents.
    pub(super) fn may_revoke_one(&self, application: &Application, person: UserId, now: Timestamp) -> bool {
        self.of_people.take((application.id, person), now).is_ok()
    }

    /// Revokes on behalf of an application. Up to [`Application::MAX_REVOCATIONS`] revocations of an application's own tokens
    /// are kept; one more revokes all its tokens. How many there are of a person is bounded by the person's consents. Returns
    /// whether it is new.
    pub(super) async fn revoke(
        &self,
        application: &Application,
        subject: &Subject,
        revocation: &Revocation,
    ) -> Result<bool, StorageError> {
        if let Subject::Person(_) = subject {
            return self.grants.revoke(revocation).await;
        }
        let kept = self.grants.revoke_within(application.id, Application::MAX_REVOCATIONS, revocation).await?;
        if let Some(is_new) = kept {
            return Ok(is_new);
        }
        self.applications.revoke_tokens(application.id, revocation.at).await?;
        // Until every instance knows, even one whose clock is behind.
        let keep_until = revocation.at.plus(UNTIL_ENDED_EVERYWHERE).min(revocation.keep_until);
        self.grants.revoke(&Revocation { keep_until, ..revocation.clone() }).await
    }
}

/// A revocation of the whole grant, kept until its last access token must have expired.
pub(super) fn revocation_of_grant(claims: &RefreshTokenClaims, now: Timestamp) -> Revocation {
    Revocation {
        what: Revoked::Grant(claims.grant_id),
        at: now,
        keep_until: claims.grant_expires_at.plus(LONGEST_ACCESS_TOKEN_LIFETIME),
    }
}
