# What the official image does with its variables: KAFKA_NODE_ID becomes node.id, the data folder is formatted once.
set -euo pipefail

config=/opt/kafka/config/server.properties
env | sed -n 's/^KAFKA_//p' | while IFS='=' read -r name value; do
  name=${name,,}
  printf '%s=%s\n' "${name//_/.}" "$value"
done > "$config"

java=(/opt/java/bin/java -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*')
"${java[@]}" kafka.tools.StorageTool format --ignore-formatted \
  --cluster-id "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" --config "$config"
exec "${java[@]}" kafka.Kafka "$config"
