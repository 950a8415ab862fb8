//! Lets binaries and tests find a prebuilt RocksDB where one is used (`ROCKSDB_LIB_DIR`, set by the Makefile).

fn main() {
    println!("cargo::rerun-if-env-changed=ROCKSDB_LIB_DIR");
    if let Ok(folder) = std::env::var("ROCKSDB_LIB_DIR") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
