//! `migrate up | down | version`.

use clap::{Args, Parser, Subcommand, builder::NonEmptyStringValueParser};
use migrate::Role;

/// Brings the database schemas up and down.
#[derive(Debug, Parser)]
struct Cli {
    /// The database, as a role that may create schemas and roles.
    #[arg(long, env = "POSTGRES_URL", hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    postgres_url: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs what has not run yet, and sets the passwords of the services' roles.
    Up(Passwords),
    /// Takes the newest migration back.
    Down {
        /// Takes back all migrations after this one; 0 takes back all there are.
        #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
        to: Option<i64>,
    },
    /// Prints the number of the last migration that has run; 0 if none has.
    Version,
}

#[derive(Debug, Args)]
struct Passwords {
    /// The password of the role `orders`.
    #[arg(long, env = "ORDERS_POSTGRES_PASSWORD", hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    orders_password: String,
    /// The password of the role `inventory`.
    #[arg(long, env = "INVENTORY_POSTGRES_PASSWORD", hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    inventory_password: String,
    /// The password of the role `email`.
    #[arg(long, env = "EMAIL_POSTGRES_PASSWORD", hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    email_password: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Up(passwords) => migrate::up(&cli.postgres_url, &passwords.into_roles()).await,
        Command::Down { to } => migrate::down(&cli.postgres_url, to).await,
        Command::Version => {
            let version = migrate::version(&cli.postgres_url).await?;
            println!("{}", version.unwrap_or(0));
            Ok(())
        }
    }
}

impl Passwords {
    fn into_roles(self) -> [Role; 3] {
        let role = |name, password| Role { name, password };
        [
            role("orders", self.orders_password),
            role("inventory", self.inventory_password),
            role("email", self.email_password),
        ]
    }
}
