//! Checkpoints in a bucket of an object store that speaks S3: every content once, under its hash, and a manifest for each
//! checkpoint, which is put last and only where there is none of that number.
//!
//! ```text
//! PREFIX/parts/SHA256              the bytes of a file
//! PREFIX/checkpoints/NUMBER.json   a manifest
//! ```

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutMode, RetryConfig, WriteMultipart};
use sha2::{Digest, Sha256};

use super::files::{failed, hexadecimal, located, make_parent, sync_folders};
use super::manifest::{FileSum, Manifest, name_of, number_of};
use super::target::{Options, Target, Watch};
use crate::error::{Error, Result};

/// Files under way at once, and requests for each.
const FILES_AT_ONCE: usize = 4;
const PIECES_AT_ONCE: usize = 2;
/// A larger file goes in pieces of this size, so that no request takes long on a slow line.
const PIECE: usize = 5 << 20;
/// How long one request may take, and its connection.
const REQUEST: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

pub struct Bucket {
    name: String,
    store: AmazonS3,
    prefix: String,
    /// Its own: callers are threads that may wait.
    runtime: tokio::runtime::Runtime,
    watch: Watch,
}

type Answer<T> = std::result::Result<T, object_store::Error>;

impl Bucket {
    /// `place` is `bucket` or `bucket/prefix`.
    pub fn open(place: &str, options: &Options, watch: &Watch) -> Result<Self> {
        let name = format!("s3://{place}");
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(Error::input(format!("{name}: name a bucket, such as s3://backups/forebay")));
        }
        let client = ClientOptions::new().with_timeout(REQUEST.min(options.patience)).with_connect_timeout(CONNECT.min(options.patience));
        let retry = RetryConfig { retry_timeout: options.patience, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retry);
        for (key, value) in &options.s3 {
            let unknown = |_| Error::input(format!("there is no setting s3.{key}: they are those of AWS_*, such as endpoint or region"));
            builder = builder.with_config(key.parse::<AmazonS3ConfigKey>().map_err(unknown)?, value);
        }
        let plain = ["endpoint", "endpoint_url", "endpoint_url_s3"]
            .iter()
            .filter_map(|key| options.s3.get(*key))
            .any(|url| url.starts_with("http:"));
        if plain {
            builder = builder.with_allow_http(true);
        }
        let store = builder.with_bucket_name(bucket).build();
        let store = store.map_err(|error| Error::input(format!("{name}: {error}; see the settings s3.* and the variables AWS_*")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("forebay-checkpoint").enable_all().build();
        let runtime = runtime.map_err(|error| Error::unavailable(format!("cannot start threads: {error}")))?;
        Ok(Self { name, store, prefix: prefix.trim_matches('/').to_owned(), runtime, watch: watch.clone() })
    }

    fn key(&self, below: &str) -> Key {
        if self.prefix.is_empty() { Key::from(below) } else { Key::from(format!("{}/{below}", self.prefix)) }
    }

    fn manifest_key(&self, number: u64) -> Key {
        self.key(&format!("checkpoints/{}.json", name_of(number)))
    }

    /// Waits for the store, unless it is to stop.
    fn run<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        let stopped = async {
            while !self.watch.is_stopped() {
                tokio::time::sleep(LOOK).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                answer = asked => answer,
                () = stopped => Err(Error::unavailable(format!("{}: stopped before it was done", self.name))),
            }
        })
    }

    fn failure(&self, error: &object_store::Error) -> Error {
        use object_store::Error as Store;
        let name = &self.name;
        match error {
            Store::NotFound { .. } => Error::not_found(format!("{name}: {error}")),
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => Error::input(format!(
                "{name} refuses: {error}; see that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of one who may read, write and delete there"
            )),
            other if other.to_string().contains("NoSuchBucket") => {
                Error::not_found(format!("{name}: there is no such bucket: make it, or name another"))
            }
            _ => Error::unavailable(format!("{name}: {error}; see that the object store answers at the endpoint of AWS_ENDPOINT_URL")),
        }
    }

    fn or_failure<T>(&self, answer: Answer<T>) -> Result<T> {
        answer.map_err(|error| self.failure(&error))
    }

    /// Sizes of all parts by their hashes.
    async fn parts(&self) -> Result<HashMap<String, u64>> {
        let listed = self.store.list(Some(&self.key("parts"))).try_collect::<Vec<_>>().await;
        let sized = |meta: object_store::ObjectMeta| Some((meta.location.filename()?.to_owned(), meta.size));
        Ok(self.or_failure(listed)?.into_iter().filter_map(sized).collect())
    }

    async fn upload(&self, from: &Path, file: &FileSum) -> Result<()> {
        let key = self.key(&format!("parts/{}", file.sha256));
        let mut content = File::open(from).map_err(|error| failed("read", from, &error))?;
        let mut digest = Sha256::new();
        let mut read = |most: usize, digest: &mut Sha256| -> Result<Vec<u8>> {
            let mut piece = Vec::new();
            Read::by_ref(&mut content).take(most as u64).read_to_end(&mut piece).map_err(|error| failed("read", from, &error))?;
            self.watch.moved(piece.len() as u64);
            digest.update(&piece);
            Ok(piece)
        };
        // What lies under a hash has it: checkpoints to come share it.
        let same = |digest: Sha256| match hexadecimal(&digest.finalize()) == file.sha256 {
            true => Ok(()),
            false => Err(Error::corrupt(format!("{} is not what it was when it was first copied: see to that disk", from.display()))),
        };
        if file.bytes <= PIECE as u64 {
            let piece = read(PIECE, &mut digest)?;
            same(digest)?;
            self.or_failure(self.store.put(&key, piece.into()).await)?;
            return Ok(());
        }
        let upload = self.or_failure(self.store.put_multipart(&key).await)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PIECE);
        let sent = async {
            loop {
                self.or_failure(writer.wait_for_capacity(PIECES_AT_ONCE).await)?;
                let piece = read(PIECE, &mut digest)?;
                if piece.is_empty() {
                    return same(std::mem::take(&mut digest));
                }
                writer.write(&piece);
            }
        };
        match sent.await {
            Ok(()) => self.or_failure(writer.finish().await).map(drop),
            Err(error) => {
                // What matters is why; pieces that stay are removed by the bucket's own rule for uploads that never end.
                let _ = writer.abort().await;
                Err(error)
            }
        }
    }

    async fn download(&self, file: &FileSum, into: &Path) -> Result<()> {
        let key = self.key(&format!("parts/{}", file.sha256));
        let path = located(into, &file.path);
        make_parent(&path)?;
        let damaged = |what: &str| Error::corrupt(format!("{}: {key}, which is {}, {what}", self.name, file.path));
        let found = match self.store.head(&key).await {
            Err(object_store::Error::NotFound { .. }) => return Err(damaged("is missing")),
            found => self.or_failure(found)?,
        };
        if found.size != file.bytes {
            return Err(damaged("is not what was written"));
        }
        let mut to = File::create(&path).map_err(|error| failed("write", &path, &error))?;
        let (mut digest, mut start) = (Sha256::new(), 0);
        while start < file.bytes {
            let end = file.bytes.min(start + PIECE as u64);
            let piece = self.or_failure(self.store.get_range(&key, start..end).await)?;
            digest.update(&piece);
            self.watch.moved(piece.len() as u64);
            to.write_all(&piece).map_err(|error| failed("write", &path, &error))?;
            start = end;
        }
        to.sync_all().map_err(|error| failed("write", &path, &error))?;
        if hexadecimal(&digest.finalize()) != file.sha256 {
            return Err(damaged("is not what was written"));
        }
        Ok(())
    }
}

impl Target for Bucket {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn numbers(&self) -> Result<Vec<u64>> {
        self.run(async {
            let listed = self.store.list(Some(&self.key("checkpoints"))).try_collect::<Vec<_>>().await;
            let number = |meta: object_store::ObjectMeta| number_of(meta.location.filename()?.strip_suffix(".json")?);
            let mut numbers: Vec<u64> = self.or_failure(listed)?.into_iter().filter_map(number).collect();
            numbers.sort_unstable();
            Ok(numbers)
        })
    }

    fn manifest(&self, number: u64) -> Result<Manifest> {
        self.run(async {
            let key = self.manifest_key(number);
            let got = match self.store.get(&key).await {
                Err(object_store::Error::NotFound { .. }) => {
                    return Err(Error::not_found(format!("there is no checkpoint {} in {}", name_of(number), self.name)));
                }
                got => self.or_failure(got)?,
            };
            let bytes = self.or_failure(got.bytes().await)?;
            let read = Manifest::decode(&bytes, &format!("{}: {key}", self.name))?;
            match read.files.iter().find(|file| file.sha256.len() != 64) {
                Some(file) => Err(Error::corrupt(format!("{}: {key} is damaged: the hash of {}", self.name, file.path))),
                None => Ok(read),
            }
        })
    }

    fn write(&self, copy: &Path, manifest: &Manifest) -> Result<()> {
        self.run(async {
            let held = self.parts().await?;
            let mut taken = HashSet::new();
            let new = manifest.files.iter().filter(|file| held.get(&file.sha256) != Some(&file.bytes) && taken.insert(&file.sha256));
            let uploads = futures::stream::iter(new.map(|file| {
                let from = located(copy, &file.path);
                async move { self.upload(&from, file).await }
            }));
            uploads.buffer_unordered(FILES_AT_ONCE).try_collect::<()>().await?;
            let bytes = manifest.encode()?;
            let put = self.store.put_opts(&self.manifest_key(manifest.number), bytes.into(), PutMode::Create.into()).await;
            match put {
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Err(Error::conflict(format!(
                    "{} has a checkpoint {} already: another process makes checkpoints there; give each data folder a prefix of its own",
                    self.name,
                    name_of(manifest.number)
                ))),
                put => self.or_failure(put).map(drop),
            }
        })
    }

    fn fetch(&self, manifest: &Manifest, into: &Path) -> Result<()> {
        self.run(async {
            let downloads = futures::stream::iter(manifest.files.iter().map(|file| self.download(file, into)));
            downloads.buffer_unordered(FILES_AT_ONCE).try_collect::<()>().await
        })?;
        sync_folders(into)
    }

    fn remove(&self, number: u64) -> Result<()> {
        self.run(async { self.or_failure(self.store.delete(&self.manifest_key(number)).await) })
    }

    fn sweep(&self) -> Result<u64> {
        let mut used = HashSet::new();
        for number in self.numbers()? {
            // Without one of the manifests it is not known what may go.
            let manifest = self.manifest(number).map_err(|error| error.context("nothing is removed"))?;
            used.extend(manifest.files.into_iter().map(|file| file.sha256));
        }
        self.run(async {
            let mut freed = 0;
            for (part, bytes) in self.parts().await? {
                if !used.contains(&part) {
                    self.or_failure(self.store.delete(&self.key(&format!("parts/{part}"))).await)?;
                    freed += bytes;
                }
            }
            Ok(freed)
        })
    }
}
