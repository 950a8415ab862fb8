// Kafka Streams beside Forebay: count and sum of each user's payments in windows of one hour, in RocksDB with its
// changelog, at least once. `Windows BOOTSTRAP TOPIC EVENTS ADVANCE_MINUTES STATE_FOLDER ASKED`; the file
// ASKED holds the windows to ask for at the end, one `user start_ms` a line. Prints the seconds from the first record
// to the closed, flushed state, and then `user start_ms count sum` for each.
// Must never print its time when a record was left out.

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.Stores;

public final class Windows {
    private static final Duration HOUR = Duration.ofHours(1);
    // What Forebay's definitions say: lateness and history.
    private static final Duration GRACE = Duration.ofMinutes(10);
    private static final Duration RETENTION = Duration.ofHours(3);
    private static final JsonFactory JSON = new JsonFactory();

    record Payment(double amount, long time) {}

    record Total(long count, double sum) {}

    private static Payment payment(byte[] bytes) {
        double amount = 0;
        long time = 0;
        try (JsonParser parser = JSON.createParser(bytes)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                if (field.equals("amount")) {
                    amount = parser.getDoubleValue();
                } else if (field.equals("event_time")) {
                    time = Instant.parse(parser.getText()).toEpochMilli();
                }
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return new Payment(amount, time);
    }

    private static Serde<Payment> payments() {
        return Serdes.serdeFrom(
            (topic, payment) -> { throw new UnsupportedOperationException("payments are only read"); },
            (topic, bytes) -> payment(bytes));
    }

    private static Serde<Total> totals() {
        return Serdes.serdeFrom(
            (topic, total) -> total == null ? null : ByteBuffer.allocate(16).putLong(total.count).putDouble(total.sum).array(),
            (topic, bytes) -> {
                if (bytes == null) {
                    return null;
                }
                ByteBuffer buffer = ByteBuffer.wrap(bytes);
                return new Total(buffer.getLong(), buffer.getDouble());
            });
    }

    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        long events = Long.parseLong(arguments[2]);
        Duration advance = Duration.ofMinutes(Long.parseLong(arguments[3]));
        List<String> asked = Files.readAllLines(Path.of(arguments[5]));

        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "windows-" + System.nanoTime());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");

        AtomicLong first = new AtomicLong();
        AtomicLong seen = new AtomicLong();
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(topic, Consumed.with(Serdes.String(), payments())
                .withTimestampExtractor((record, previous) -> ((Payment) record.value()).time()))
            .peek((user, payment) -> {
                first.compareAndSet(0, System.nanoTime());
                seen.incrementAndGet();
            })
            .groupByKey()
            .windowedBy(TimeWindows.ofSizeAndGrace(HOUR, GRACE).advanceBy(advance))
            .aggregate(
                () -> new Total(0, 0),
                (user, payment, total) -> new Total(total.count + 1, total.sum + payment.amount),
                Materialized.<String, Total>as(Stores.persistentWindowStore("totals", RETENTION, HOUR, false))
                    .withKeySerde(Serdes.String())
                    .withValueSerde(totals()));

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        while (seen.get() < events) {
            Thread.sleep(10);
        }
        // The last record was counted before it was folded.
        Thread.sleep(50);
        var store = streams.store(StoreQueryParameters.fromNameAndType("totals", QueryableStoreTypes.<String, Total>windowStore()));
        StringBuilder answers = new StringBuilder();
        for (String line : asked) {
            String[] window = line.split(" ");
            Total total = store.fetch(window[0], Long.parseLong(window[1]));
            answers.append(String.format("%s %s %s%n", line,
                total == null ? 0 : total.count, total == null ? 0.0 : total.sum));
        }
        if (!streams.close(Duration.ofMinutes(2)) || seen.get() != events) {
            throw new IllegalStateException(seen.get() + " records of " + events + ", or not closed in time");
        }
        System.out.printf("%.6f%n", (System.nanoTime() - first.get()) / 1e9);
        System.out.print(answers);
    }
}
