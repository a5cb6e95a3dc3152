//! Constructors: the three that each plug has.

/// Gives `$plug` its constructors; `$signal` is what its items are, and `$make` makes it of a `Spool`.
macro_rules! constructors {
    ($plug:ident, $signal:expr, $make:expr) => {
        impl $plug {
            /// Opens a client on the folder `spool_dir`, which is made if it does not exist.
            ///
            /// The rest comes from the variables `OTEL_EXPORTER_OTLP_*`, or is the default. What the client logs as an
            /// error or a warning goes to the SDK's own log.
            ///
            /// # Errors
            /// Those of [`BatchTraceProcessor::open`](spanspool::BatchTraceProcessor::open): the folder or a variable
            /// can't be used.
            pub fn open(spool_dir: impl AsRef<std::path::Path>) -> spanspool::Result<Self> {
                Ok(($make)($crate::spool::Spool::open(spool_dir.as_ref(), $signal)?))
            }

            /// Opens a client with the settings `config`. Its `exporter`, `signal` and `header.User-Agent` are set here.
            ///
            /// # Errors
            /// Those of [`BatchTraceProcessor::open`](spanspool::BatchTraceProcessor::open): a setting or a variable can't
            /// be used.
            pub fn with_config(config: spanspool::Config) -> spanspool::Result<Self> {
                Ok(($make)($crate::spool::Spool::with_config(config, $signal)?))
            }

            /// Uses a client that the program shares with it. It must have `exporter=otlp` and this signal: any other
            /// refuses each record, and the SDK's log says so once.
            ///
            /// A shutdown shuts the client down.
            pub fn with_client(client: std::sync::Arc<spanspool::BatchTraceProcessor>) -> Self {
                ($make)($crate::spool::Spool::new(client, $signal))
            }
        }
    };
}

pub(crate) use constructors;
