package otelspool

import "fmt"

// Refused are the items of one export that could not be stored.
type refused struct {
	count int
	first error
}

func (r *refused) add(err error) {
	if err == nil {
		return
	}
	if r.count++; r.count == 1 {
		r.first = err
	}
}

// err says how many there are, or is nil.
func (r *refused) err() error {
	if r.count == 0 {
		return nil
	}
	return fmt.Errorf("otelspool: %d records were not stored: %w", r.count, r.first)
}
