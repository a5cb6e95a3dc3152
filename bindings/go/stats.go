package spanspool

// #include <spanspool.h>
import "C"

// Stats are the counters of a client's lane, in the order of spanspool_stats in the C header. At all times, across
// restarts:
//
//	Accepted = Delivered + Pending + Rejected + DroppedOverflow + DroppedExpired + DroppedCorrupt
type Stats struct {
	// Items taken.
	Accepted uint64
	// Items the ingest answered 2xx for.
	Delivered uint64
	// Items set aside in the rejected store.
	Rejected uint64
	// Items dropped because a limit was reached (overflow=drop_oldest, max_rejected_bytes).
	DroppedOverflow uint64
	// Items dropped because they were older than max_age_s.
	DroppedExpired uint64
	// Items that could not be read back from a damaged disk.
	DroppedCorrupt uint64
	// Items on their way.
	Pending uint64
	// Bytes of JSON on their way.
	PendingBytes uint64
	// Bytes that the lane takes on disk.
	DiskBytes uint64
	// Age of the oldest pending item in milliseconds; 0 when there is none.
	OldestPendingAgeMs uint64
	// Requests that were answered 2xx.
	BatchesSent uint64
	// Attempts that were put off for later.
	Retries uint64
	// What the exporter does: 0 idle, 1 sending, 2 backoff, 3 hold.
	ExportState uint64
	// The last HTTP status; 0 when none was received yet.
	LastHTTPStatus uint64
	// Lanes of dead processes that were taken over.
	LanesAdopted uint64
}

func statsOf(raw *C.spanspool_stats) Stats {
	return Stats{
		Accepted:           uint64(raw.accepted),
		Delivered:          uint64(raw.delivered),
		Rejected:           uint64(raw.rejected),
		DroppedOverflow:    uint64(raw.dropped_overflow),
		DroppedExpired:     uint64(raw.dropped_expired),
		DroppedCorrupt:     uint64(raw.dropped_corrupt),
		Pending:            uint64(raw.pending),
		PendingBytes:       uint64(raw.pending_bytes),
		DiskBytes:          uint64(raw.disk_bytes),
		OldestPendingAgeMs: uint64(raw.oldest_pending_age_ms),
		BatchesSent:        uint64(raw.batches_sent),
		Retries:            uint64(raw.retries),
		ExportState:        uint64(raw.export_state),
		LastHTTPStatus:     uint64(raw.last_http_status),
		LanesAdopted:       uint64(raw.lanes_adopted),
	}
}
