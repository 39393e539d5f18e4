import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Lifecycle events as a company's own Java program writes them: CloudEvents in binary mode. */
public class Produce {
    public static void main(String[] args) {
        String brokers = args[0], topic = args[1];
        Map<String, Object> settings =
            Map.of("bootstrap.servers", brokers, "acks", "all", "enable.idempotence", true);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            for (int id = Integer.parseInt(args[2]); id <= Integer.parseInt(args[3]); id++) {
                String data = """
                    {"subject": "customer_id:%d", "category": "user.contact.email", "purposes": ["service"],
                     "recorded_at": "2020-01-01T00:00:00Z",
                     "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": %d}}]}""".formatted(id, id);
                var record = new ProducerRecord<>(topic, Integer.toString(id), bytes(data));
                var attributes = Map.of("ce_specversion", "1.0", "ce_id", "java-" + id, "ce_source", "/java",
                    "ce_type", "quietus.item.recorded.v1", "content-type", "application/json");
                attributes.forEach((name, value) -> record.headers().add(new RecordHeader(name, bytes(value))));
                producer.send(record);
            }
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
