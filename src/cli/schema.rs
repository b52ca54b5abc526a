//! `kitmirror schema`: the tables as SQL, or compared with the database.

use clap::{Args, ValueEnum};

use super::sync::object_name;
use super::{Global, Outcome};
use crate::error::Kind;
use crate::model::objects;
use crate::output;
use crate::service::{mirror, place};
use crate::store::{Dialect, script};

/// Prints the tables as SQL, or compares them with the database.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kitmirror schema                         everything that sync would create, as one SQL script
  kitmirror schema --dialect postgres      to create the tables by hand, in the schema of the mirror;
                                           kitmirror then needs no right to create anything
  kitmirror schema --object subscribers
  kitmirror schema --check                 how they differ from the database; exits with 4 if they do")]
pub struct Schema {
    /// The engine whose SQL is printed
    #[arg(long, value_enum, default_value_t = DialectName::Sqlite)]
    dialect: DialectName,
    /// Only this object; may be given more than once
    #[arg(long = "object", value_name = "NAME", value_parser = object_name)]
    objects: Vec<String>,
    /// Compare with the database instead
    #[arg(long, conflicts_with = "objects")]
    check: bool,
    /// Print the differences as JSON
    #[arg(long, requires = "check")]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DialectName {
    Sqlite,
    /// PostgreSQL 13 or later
    #[value(alias = "postgresql")]
    Postgres,
    /// MySQL 8.0 or later, MariaDB 10.6 or later
    #[value(alias = "mariadb")]
    Mysql,
}

impl Schema {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        if self.check {
            return self.compare(global).await;
        }
        let dialect = match self.dialect {
            DialectName::Sqlite => Dialect::Sqlite,
            DialectName::Postgres => Dialect::Postgres,
            DialectName::Mysql => Dialect::Mysql,
        };
        if self.objects.is_empty() {
            output::line(script(dialect));
        }
        for object in objects::ALL.iter().filter(|object| self.objects.iter().any(|name| name == object.name))
        {
            output::line(dialect.create(object));
        }
        Ok(0)
    }

    async fn compare(&self, global: &Global) -> Outcome {
        let settings = global.settings(false)?.settings;
        let store = mirror(&place(&settings)?).await?;
        let differences = store.differences().await?;
        store.close().await;
        if self.json {
            output::json(&differences);
        } else if differences.is_empty() {
            output::line("The tables are what they should be.");
        } else {
            for difference in &differences {
                output::line(difference);
            }
        }
        Ok(if differences.is_empty() { 0 } else { Kind::SchemaMismatch.policy().exit_code })
    }
}
