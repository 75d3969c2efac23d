//! Who may do what: root may do everything; everybody else is polkit's to decide; without polkit nobody else may do anything.

use std::collections::HashMap;
use std::time::Duration;

use zbus::message::Header;
use zbus::names::{BusName, UniqueName};
use zbus::{Connection, proxy};

use super::UpdaterError;

/// Time for polkit's answer: a person may have to type a password.
const POLKIT_TIMEOUT: Duration = Duration::from_secs(120);
/// CheckAuthorization may ask the person.
const ALLOW_INTERACTION: u32 = 1;

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ask the server.
    Check,
    /// Install.
    Apply,
    /// Install what is in quarantine.
    ApplyQuarantined,
    /// Reboot into what is staged.
    Reboot,
    /// Go back to the other slot.
    Rollback,
    /// Stop, or discard what is staged.
    Cancel,
}

impl Action {
    /// Every action, for the test that compares them with the policy file.
    pub const ALL: [Self; 6] = [Self::Check, Self::Apply, Self::ApplyQuarantined, Self::Reboot, Self::Rollback, Self::Cancel];

    /// polkit's name of it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Check => "org.slipway.updater1.check",
            Self::Apply => "org.slipway.updater1.apply",
            Self::ApplyQuarantined => "org.slipway.updater1.apply-quarantined",
            Self::Reboot => "org.slipway.updater1.reboot",
            Self::Rollback => "org.slipway.updater1.rollback",
            Self::Cancel => "org.slipway.updater1.cancel",
        }
    }
}

type Subject<'a> = (&'a str, HashMap<&'a str, zbus::Variant<'a>>);

#[proxy(
    interface = "org.freedesktop.PolicyKit1.Authority",
    default_service = "org.freedesktop.PolicyKit1",
    default_path = "/org/freedesktop/PolicyKit1/Authority"
)]
trait Authority {
    fn check_authorization(
        &self,
        subject: &Subject<'_>,
        action_id: &str,
        details: &HashMap<&str, &str>,
        flags: u32,
        cancellation_id: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)>;
}

/// Fails unless the sender of `header` may do `action`.
pub(super) async fn allow(connection: &Connection, header: &Header<'_>, action: Action) -> Result<(), UpdaterError> {
    let denied = |why: &str| UpdaterError::NotAuthorized(format!("{} is not allowed: {why}", action.id()));
    let sender = header.sender().ok_or_else(|| denied("the caller has no name on the bus"))?;
    let uid = uid_of(connection, sender).await.map_err(|error| denied(&format!("the caller is gone: {error}")))?;
    if uid == 0 {
        return Ok(());
    }
    match tokio::time::timeout(POLKIT_TIMEOUT, ask_polkit(connection, sender, action)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(denied("polkit says no; run it as root, or with sudo")),
        Ok(Err(error)) => {
            tracing::debug!(%error, "asking polkit");
            Err(denied("only root may, and polkit, which could say otherwise, does not answer; run it with sudo"))
        }
        Err(_) => Err(denied("polkit did not answer in time")),
    }
}

async fn uid_of(connection: &Connection, sender: &UniqueName<'_>) -> zbus::Result<u32> {
    let bus = zbus::fdo::DBusProxy::new(connection).await?;
    Ok(bus.get_connection_unix_user(BusName::Unique(sender.clone())).await?)
}

async fn ask_polkit(connection: &Connection, sender: &UniqueName<'_>, action: Action) -> zbus::Result<bool> {
    let authority = AuthorityProxy::new(connection).await?;
    let subject = ("system-bus-name", HashMap::from([("name", zbus::Variant::from(sender.as_str()))]));
    let (allowed, _challenge, _details) =
        authority.check_authorization(&subject, action.id(), &HashMap::new(), ALLOW_INTERACTION, "").await?;
    Ok(allowed)
}
