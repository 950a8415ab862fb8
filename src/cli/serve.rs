//! `forebay serve`

use std::sync::Arc;

use clap::Args;

use crate::checkpoint::{self, Schedule, Turn};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::serve::{self, Limits, Listener};
use crate::telemetry::Metrics;

use super::checkpoint::{alongside, options};
use super::context::Context;
use super::definitions::{self, Applied};
use super::plan::against_applied;
use super::progress::Progress;
use super::signals::Signals;
use super::summary;
use super::{DONE, FAILED, Outcome};

/// How often it is looked whether the engine still runs.
const ENGINE_CHECK: std::time::Duration = std::time::Duration::from_millis(200);

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay serve --until-caught-up\n  forebay serve --listen 127.0.0.1:8090")]
pub(super) struct Arguments {
    /// Process all records that the logs hold at the start, make the results durable, and exit without listening
    #[arg(long)]
    until_caught_up: bool,
    /// Address and port of the HTTP server [setting: listen]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    Files::raised().check()?;
    let limits = Limits::of(&context.config)?;
    let (plan, files) = definitions::current(context)?;
    let compared = against_applied(context, &plan)?;
    compared.possible()?;
    if compared.was_applied && !compared.difference.is_empty() {
        tracing::info!("the definitions have changed since they were applied:\n{}", compared.difference);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("forebay-http").build();
    let runtime = runtime.map_err(|error| Error::unavailable(format!("cannot start threads: {error}")))?;
    let served = runtime.block_on(async {
        // Who waits for all to be caught up is told when it is not.
        let mut stop = Signals::new(if arguments.until_caught_up { FAILED } else { DONE }, context.config.shutdown_delay)?;
        // Taken before the engine starts, so that a port in use costs no restore.
        let listener = match arguments.until_caught_up {
            true => None,
            false => Some(Listener::bind(context.config.listen).await?),
        };
        let (config, clock, metrics) = (context.config.clone(), Arc::clone(&context.clock), Metrics::new());
        let meanwhile = Arc::clone(&metrics);
        let text = definitions::text(&files);
        let mut begun = Progress::new("restoring the state", "records");
        let starting = blocking(move || Engine::start(&config, plan, &text, clock, metrics));
        let starting = async {
            match &listener {
                Some(listener) => listener.answer_until(&limits, &meanwhile, starting).await,
                None => starting.await,
            }
        };
        let engine = tokio::select! {
            engine = starting => engine?,
            // What a start has not finished begins again at the next, as after a crash.
            () = stop.wait() => {
                tracing::info!("stopped while starting: the next start begins anew");
                stop.end();
            }
        };
        // The engine holds the folder now; what it started with is in force, down to clauses that change no identity.
        Applied::store(context, &files, engine.handle().plan())?;
        let engine = Arc::new(engine);
        begun.hide();
        let served = match listener {
            Some(listener) => listen(context, &engine, listener, limits, stop).await,
            None => match caught_up(Arc::clone(&engine), stop).await {
                Ok(is_whole) => summary::print(context, &engine.summary()?, begun.elapsed(), is_whole).and(match is_whole {
                    true => Ok(()),
                    false => Err(Error::unavailable("stopped before all was caught up; the next start goes on from here")),
                }),
                Err(error) => Err(error),
            },
        };
        blocking(move || engine.stop()).await.and(served)
    });
    // What still waits for something, such as a lookup for an event, waits in vain.
    runtime.shutdown_background();
    served.map(|()| Outcome::Done)
}

/// Serves until a signal comes or the engine ends by itself, and then finishes what was asked.
async fn listen(context: &Context, engine: &Arc<Engine>, listener: Listener, limits: Limits, mut stop: Signals) -> Result<()> {
    let address = listener.address()?;
    let _presence = engine.folder().announce(address)?;
    tracing::info!("listening on http://{address}");
    let watched = Arc::clone(engine);
    let ended = async move {
        while watched.check().is_ok() {
            tokio::time::sleep(ENGINE_CHECK).await;
        }
    };
    let until = async move {
        tokio::select! {
            () = stop.wait() => tracing::info!("stopping: finishing requests, committing"),
            () = ended => {}
        }
    };
    let checkpoints = scheduled(context, engine).await?;
    let served = serve::run(engine.handle(), listener, limits, until).await;
    blocking(move || {
        drop(checkpoints);
        Ok(())
    })
    .await
    .and(served)
}

/// Makes checkpoints where the settings say so, until it is dropped.
async fn scheduled(context: &Context, engine: &Engine) -> Result<Option<checkpoint::Running>> {
    Turn::tidy(&context.config.data)?;
    let settings = &context.config.checkpoint;
    let Some(every) = settings.every else { return Ok(None) };
    let schedule = Schedule { to: settings.to.clone(), every, keep: settings.keep, options: options(context) };
    let own = Context::new(context.config.clone(), Arc::clone(&context.clock), None);
    let (handle, clock) = (engine.handle(), Arc::clone(&context.clock));
    blocking(move || checkpoint::start(schedule, handle, clock, move || alongside(&own))).await.map(Some)
}

/// Whether all that the logs held was taken in, and not stopped before.
async fn caught_up(engine: Arc<Engine>, mut stop: Signals) -> Result<bool> {
    let watched = Arc::clone(&engine);
    let waiting = blocking(move || engine.wait_until_caught_up());
    let mut progress = Progress::new("taking in", "records");
    let watching = async {
        loop {
            if let Some((done, all)) = watched.caught_up() {
                progress.at(done, Some(all));
            }
            tokio::time::sleep(ENGINE_CHECK).await;
        }
    };
    tokio::select! {
        done = waiting => done.map(|()| true),
        () = watching => Ok(false),
        () = stop.wait() => Ok(false),
    }
}

/// Runs what waits for disks and threads where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::internal(format!("the engine's thread ended: {error}"))))
}
