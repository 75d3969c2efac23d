//! `services`: who announces what.

use cluster_store::Access;
use command_line::Ui;

/// Show the services of the cluster, and where they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent services
  cluster-agent services web --json | jq -r '.[].address'")]
pub(super) struct Args {
    /// Only this service.
    name: Option<String>,
}

/// There is no such service.
#[derive(Debug, thiserror::Error)]
#[error("nobody announces {name}{hint}")]
struct Nobody {
    name: String,
    hint: String,
}

impl Args {
    pub(super) async fn run(&self, ui: Ui) -> anyhow::Result<()> {
        let mut client = Access::of_this_machine()?.connect().await?;
        let (entries, _) = cluster_store::watch::list(&mut client, announce::PREFIX).await?;
        let (mut services, strange) = announce::services(&entries);
        for key in strange {
            ui.note(format!("warning: {key} is no announcement that can be read"));
        }
        if let Some(name) = &self.name {
            let hint = diagnostics::nearest(name, services.iter().map(|had| had.service.as_str()));
            let hint = hint.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            services.retain(|had| had.service == *name);
            if services.is_empty() {
                return Err(Nobody { name: name.clone(), hint }.into());
            }
        }
        if ui.json {
            return Ok(ui.data(&services)?);
        }
        for row in table(&services) {
            ui.line(row);
        }
        Ok(())
    }
}

/// One line for each, in columns.
pub(super) fn table(services: &[announce::Service]) -> Vec<String> {
    let rows: Vec<[String; 5]> = std::iter::once(["SERVICE", "MACHINE", "ADDRESS", "TAGS", "BY"].map(str::to_owned))
        .chain(services.iter().map(|had| {
            let protocol =
                if had.at.protocol == announce::Protocol::Tcp { String::new() } else { format!("/{:?}", had.at.protocol).to_lowercase() };
            let tags = if had.at.tags.is_empty() { "-".to_owned() } else { had.at.tags.join(",") };
            [had.service.clone(), had.machine.clone(), format!("{}{protocol}", had.endpoint), tags, had.at.by.clone()]
        }))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_shown_in_columns() {
        let entries = [
            ("slipway/services/web/n1:web-1:80", r#"{"address":"10.0.0.5","port":8080,"tags":["blue"],"by":"container web-1"}"#),
            ("slipway/services/dns/n1:dns.service:53:udp", r#"{"address":"fd00::1","port":53,"protocol":"udp","by":"unit dns.service"}"#),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let (services, _) = announce::services(&std::collections::BTreeMap::from(entries));
        assert_eq!(
            table(&services),
            [
                "SERVICE  MACHINE  ADDRESS           TAGS  BY",
                "dns      n1       [fd00::1]:53/udp  -     unit dns.service",
                "web      n1       10.0.0.5:8080     blue  container web-1",
            ]
        );
    }
}
