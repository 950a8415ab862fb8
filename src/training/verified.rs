//! Files of the event log as DataFusion reads them: through their checksums, whichever columns are read. Reads where it is asked:
//! a scan has as many partitions as there are threads, and each has nothing else to do.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result as QueryResult;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::error::Error;
use crate::offline::{FileEntry, PartFile, Snapshot};

/// The files of one scan.
pub struct VerifiedFiles {
    snapshot: Snapshot,
    files: HashMap<Path, FileEntry>,
}

impl VerifiedFiles {
    /// The files as a scan names them, and what opens them.
    pub fn of(snapshot: &Snapshot, files: &[&FileEntry]) -> (Vec<PartitionedFile>, Self) {
        let location = |file: &FileEntry| Path::from(file.path.as_str());
        let partitioned = |file: &&FileEntry| {
            let mut partitioned = PartitionedFile::new(String::new(), file.bytes);
            partitioned.object_meta.location = location(file);
            partitioned
        };
        let by_location = files.iter().map(|file| (location(file), FileEntry::clone(file))).collect();
        (files.iter().map(partitioned).collect(), Self { snapshot: snapshot.clone(), files: by_location })
    }
}

impl fmt::Debug for VerifiedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedFiles").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl ParquetFileReaderFactory for VerifiedFiles {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> QueryResult<Box<dyn AsyncFileReader + Send>> {
        let location = &file.object_meta.location;
        let opened = match self.files.get(location) {
            Some(entry) => self.snapshot.open(entry),
            None => Err(Error::internal(format!("a scan reads {location}, which it was not given"))),
        };
        let file = opened.map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(Box::new(VerifiedReader { file, metrics: ParquetFileMetrics::new(partition, location.as_ref(), metrics) }))
    }
}

/// One file, open for one partition of a scan.
struct VerifiedReader {
    file: PartFile,
    metrics: ParquetFileMetrics,
}

impl VerifiedReader {
    fn read(&self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        self.metrics.bytes_scanned.add(ranges.iter().map(|range| (range.end - range.start) as usize).sum());
        self.file.read_all(ranges).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

impl AsyncFileReader for VerifiedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        ready(self.read(&[range]).map(|mut read| read.remove(0))).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        ready(self.read(&ranges)).boxed()
    }

    fn get_metadata<'a>(&'a mut self, options: Option<&'a ArrowReaderOptions>) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.file.bytes();
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}
