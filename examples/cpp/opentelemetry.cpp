// A shop that is traced, logged and measured with opentelemetry-cpp, and loses nothing: not in an outage, not with
// kill -9. Run it without a receiver, kill it, start it again with one.
//
//     packages="spanspool opentelemetry_trace opentelemetry_logs opentelemetry_metrics opentelemetry_common"
//     c++ -std=c++17 opentelemetry.cpp -o shop $(pkg-config --cflags --libs $packages)
//     ./shop SPOOL_DIR [ENDPOINT]
//
// Without ENDPOINT it is OTEL_EXPORTER_OTLP_ENDPOINT that says where to, or else http://localhost:4318.

#include <spanspool_opentelemetry.hpp>

#include <opentelemetry/logs/logger.h>
#include <opentelemetry/metrics/sync_instruments.h>
#include <opentelemetry/sdk/logs/logger_provider.h>
#include <opentelemetry/sdk/metrics/export/periodic_exporting_metric_reader.h>
#include <opentelemetry/sdk/metrics/meter_provider.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <thread>

namespace api = opentelemetry;
namespace sdk = opentelemetry::sdk;

static volatile std::sig_atomic_t stopped = 0;

static void ship(api::trace::Tracer& tracer, api::logs::Logger& logger, const std::string& order) {
    const auto span = tracer.StartSpan("ship", {{"order.id", order}, {"order.items", 3}});
    const api::trace::Scope active(span);
    logger.Info("shipped " + order);
    span->End();
    // Whatever happens from here on, span and log record will arrive.
    std::cout << order << std::endl;
}

int main(int argc, char** argv) {
    if (argc < 2) return std::cerr << "usage: shop SPOOL_DIR [ENDPOINT]\n", 2;
    std::signal(SIGTERM, [](int) { stopped = 1; });
    std::signal(SIGINT, [](int) { stopped = 1; });
    try {
        auto config = spanspool::otel::otlp_config(argv[1]);
        if (argc > 2) config.set("endpoint", argv[2]);

        const auto resource = sdk::resource::Resource::Create({{"service.name", "shop"}});
        sdk::trace::TracerProvider traces(std::make_unique<spanspool::otel::span_processor>(config), resource);
        sdk::logs::LoggerProvider logs(std::make_unique<spanspool::otel::log_record_processor>(config), resource);
        sdk::metrics::MeterProvider metrics(std::make_unique<sdk::metrics::ViewRegistry>(), resource);
        // What was counted is durable once it is collected.
        sdk::metrics::PeriodicExportingMetricReaderOptions often;
        often.export_interval_millis = std::chrono::milliseconds(200);
        often.export_timeout_millis = std::chrono::milliseconds(100);
        metrics.AddMetricReader(std::make_shared<sdk::metrics::PeriodicExportingMetricReader>(
            std::make_unique<spanspool::otel::metric_exporter>(config), often));

        const auto tracer = traces.GetTracer("shop");
        const auto logger = static_cast<api::logs::LoggerProvider&>(logs).GetLogger("shop", "shop");
        const auto orders = metrics.GetMeter("shop")->CreateUInt64Counter("orders");
        for (int n = 1; stopped == 0; ++n) {
            const auto number = std::to_string(1000000 + n).substr(1);
            ship(*tracer, *logger, "order-" + std::to_string(getpid()) + "-" + number);
            orders->Add(1);
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        // The SDK's Shutdown does not collect the last metrics, its ForceFlush does. What is not delivered within 5
        // seconds stays in the spool.
        const auto patience = std::chrono::seconds(5);
        metrics.ForceFlush(patience);
        bool all = metrics.Shutdown(patience);
        all = traces.Shutdown(patience) && all;
        all = logs.Shutdown(patience) && all;
        std::cout << (all ? "all delivered" : "the rest stays in the spool") << std::endl;
    } catch (const spanspool::error& error) {
        return std::cerr << error.what() << '\n', 1;
    }
}
