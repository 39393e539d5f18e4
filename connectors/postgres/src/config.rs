//! Where the database is and how we connect: never shown, because a URL carries a password.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use quietus_contract::Failure;
use tokio_postgres::config::SslMode;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A parsed `connection.url`.
#[derive(Clone)]
pub(crate) struct Connection(tokio_postgres::Config);

impl Connection {
    /// Reads a resolved URL (or a libpq keyword string). `role` is what the sessions call themselves.
    pub(crate) fn parse(url: &str, role: &str) -> Result<Self, Failure> {
        let mut config = tokio_postgres::Config::from_str(url).map_err(|_| {
            Failure::fatal(
                "unreachable",
                "connection.url is no PostgreSQL URL: postgres://USER@HOST:PORT/DATABASE",
            )
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(Failure::fatal(
                "unreachable",
                "connection.url asks for TLS (sslmode=require), which this connector does not speak yet: use a local \
                 TLS tunnel and sslmode=disable",
            ));
        }
        config.ssl_mode(SslMode::Disable);
        if config.get_application_name().is_none() {
            config.application_name(role);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_WITHIN);
        }
        Ok(Self(config))
    }

    pub(crate) fn settings(&self) -> &tokio_postgres::Config {
        &self.0
    }

    /// Host and database, for messages.
    pub(crate) fn place(&self) -> String {
        let hosts: Vec<String> = self.0.get_hosts().iter().map(|h| format!("{h:?}")).collect();
        format!(
            "{} port {:?} database {:?}",
            hosts.join(", "),
            self.0.get_ports(),
            self.0.get_dbname().unwrap_or("")
        )
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        let shown = format!(
            "{:?}",
            Connection::parse("postgres://ann:s3cret@127.0.0.1:5432/shop", "quietus").unwrap()
        );
        assert!(shown.contains("shop") && !shown.contains("s3cret"), "{shown}");
        let failure = Connection::parse("postgres://ann:s3cret@:x/shop", "quietus").unwrap_err();
        assert!(!failure.to_string().contains("s3cret"), "{failure}");
    }

    #[test]
    fn tls_is_refused_with_a_reason_instead_of_being_left_out() {
        let failure = Connection::parse("postgres://ann@db/shop?sslmode=require", "quietus").unwrap_err();
        assert!(failure.detail.contains("TLS") && !failure.may_retry);
    }
}
